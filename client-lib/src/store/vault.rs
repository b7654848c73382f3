//! A place of the application's own for what is kept.

/// Why a vault failed.
pub type VaultError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the client's state for an application, such as encrypted, in its own database.
///
/// The state is one image of a few kilobytes and up, a SQLite database that never touches the disk as
/// such. It holds labels of contacts and what is known of them, and no private keys. Every change is
/// saved before it counts: if saving fails, the operation fails and nothing has changed.
///
/// Only one [`Store`](crate::Store) may use a vault at a time. One process that forgets what another
/// saved could be shown another history.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use overt_client::{Store, Vault, VaultError};
///
/// /// Stands for a row in the application's encrypted database.
/// #[derive(Clone, Default)]
/// struct Row(Arc<Mutex<Option<Vec<u8>>>>);
///
/// impl Vault for Row {
///     fn load(&self) -> Result<Option<Vec<u8>>, VaultError> {
///         Ok(self.0.lock().map_err(|_| "poisoned")?.clone())
///     }
///
///     fn save(&self, image: &[u8]) -> Result<(), VaultError> {
///         *self.0.lock().map_err(|_| "poisoned")? = Some(image.to_vec());
///         Ok(())
///     }
/// }
///
/// let row = Row::default();
/// let store = Store::in_vault(row.clone())?;
/// assert!(store.directories()?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Vault: Send + Sync {
    /// What was saved last; none if nothing ever was.
    fn load(&self) -> Result<Option<Vec<u8>>, VaultError>;

    /// Keeps the image in the place of the last one, durably and all or nothing.
    fn save(&self, image: &[u8]) -> Result<(), VaultError>;
}
