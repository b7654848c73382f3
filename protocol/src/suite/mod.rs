//! Cipher suites (section "KT Cipher Suites").
