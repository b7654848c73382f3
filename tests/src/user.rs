//! A bare user: requests made and answers verified with `overt-protocol` alone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use overt_protocol::codec::Encode;
use overt_protocol::descriptor::Descriptor;
use overt_protocol::distinguished::Recent;
use overt_protocol::user::{OwnerState, TreeState, VerifiedValue, Verifier};
use overt_protocol::wire::{
    DistinguishedRequest, HashValue, OwnerInitRequest, SearchRequest, UpdateRequest,
};

/// What the directory answered, unverified.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// A user with its kept state.
#[derive(Debug)]
pub struct User {
    http: reqwest::Client,
    token: Option<String>,
    /// Knows the configuration.
    pub verifier: Verifier,
    /// The kept view.
    pub tree: Option<TreeState>,
    /// Owned labels.
    pub owned: BTreeMap<String, OwnerState>,
    /// Every head verified: root by size.
    pub heads: BTreeMap<u64, HashValue>,
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl User {
    /// A new user of the directory at `url`.
    pub async fn new(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        // A connection that the server closed after refusing a body must not be used again.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0);
        let http = http.timeout(Duration::from_secs(20)).build()?;
        let json = http
            .get(format!("{url}/v1/descriptor"))
            .send()
            .await?
            .bytes()
            .await?;
        let (_, config) = Descriptor::parse(&json)?;
        Ok(Self {
            http,
            token: token.map(str::to_owned),
            verifier: Verifier::new(config)?,
            tree: None,
            owned: BTreeMap::new(),
            heads: BTreeMap::new(),
        })
    }

    /// Posts raw bytes.
    pub async fn post(&self, url: &str, operation: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        let mut request = self.http.post(format!("{url}/v1/{operation}")).body(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?.to_vec();
        Ok(Answer { status, body })
    }

    async fn ask(
        &self,
        url: &str,
        operation: &str,
        request: &impl Encode,
    ) -> anyhow::Result<Vec<u8>> {
        let answer = self.post(url, operation, request.to_bytes()?).await?;
        ensure!(
            answer.status == 200,
            "{operation}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer.body)
    }

    fn last(&self) -> Option<u64> {
        self.tree.as_ref().map(TreeState::tree_size)
    }

    fn keep(&mut self, tree: TreeState) -> anyhow::Result<()> {
        let root = *self.heads.entry(tree.tree_size()).or_insert(tree.view.root);
        ensure!(
            root == tree.view.root,
            "two heads of size {}",
            tree.tree_size()
        );
        self.tree = Some(tree);
        Ok(())
    }

    /// Begins to own a label.
    pub async fn own(&mut self, url: &str, label: &str) -> anyhow::Result<()> {
        if self.tree.is_none() {
            let request = DistinguishedRequest {
                last: None,
                stop: None,
            };
            let body = self.ask(url, "distinguished", &request).await?;
            let done =
                self.verifier
                    .distinguished(None, &request, Recent::Count(10), &body, now())?;
            self.keep(done.state)?;
        }
        let tree = self.tree.as_ref().context("no view")?;
        let request = OwnerInitRequest {
            last: self.last(),
            label: label.into(),
            start: tree
                .view
                .rightmost_distinguished(self.verifier.config())
                .context("no distinguished entry")?,
        };
        let body = self.ask(url, "owner-init", &request).await?;
        let done = self
            .verifier
            .owner_init(self.tree.as_ref(), &request, &body, now())?;
        self.keep(done.state)?;
        self.owned.insert(label.to_owned(), done.owner);
        Ok(())
    }

    /// Creates a version of an owned label. Returns the values that are in the log since.
    pub async fn update(
        &mut self,
        url: &str,
        label: &str,
        value: &[u8],
    ) -> anyhow::Result<Vec<VerifiedValue>> {
        let owner = self.owned.get(label).context("not owned")?;
        let request = UpdateRequest {
            last: self.last(),
            label: label.into(),
            greatest_version: owner.progress.greatest_version(),
            values: vec![value.to_vec()],
        };
        let body = self.ask(url, "update", &request).await?;
        let done = self
            .verifier
            .update(self.tree.as_ref(), owner, &request, &body, now())?;
        self.keep(done.state)?;
        self.owned.insert(label.to_owned(), done.owner);
        Ok(done
            .updates
            .into_iter()
            .flat_map(|update| update.values)
            .collect())
    }

    /// Looks a version up, the greatest if none is given.
    pub async fn search(
        &mut self,
        url: &str,
        label: &str,
        version: Option<u32>,
    ) -> anyhow::Result<VerifiedValue> {
        let request = SearchRequest {
            last: self.last(),
            label: label.into(),
            version,
        };
        let body = self.ask(url, "search", &request).await?;
        let done = self
            .verifier
            .search(self.tree.as_ref(), &request, &body, now())?;
        self.keep(done.state)?;
        Ok(done.value)
    }
}
