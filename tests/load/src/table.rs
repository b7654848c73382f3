//! Tables as GitHub renders them.

/// A table: its first lines and its rows.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    head(header)
        + &rows
            .into_iter()
            .map(|cells| row(&cells))
            .collect::<String>()
}

/// The first lines of a table. Every column but the first holds numbers.
pub fn head(header: &[&str]) -> String {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let rule = std::iter::once("|---|").chain(header.iter().skip(1).map(|_| "---:|"));
    row(&header) + &rule.collect::<String>() + "\n"
}

/// A line of a table.
pub fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_line() {
        let rows = [vec!["lookup".to_owned(), mebibytes(3 << 19).to_string()]];
        let expected = "| what | MiB |\n|---|---:|\n| lookup | 1.5 |\n";
        assert_eq!(table(&["what", "MiB"], rows), expected);
    }
}
