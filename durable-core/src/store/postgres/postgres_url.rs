//! URLs of Postgres, also with several hosts as libpq reads them:
//! `postgres://user@first,second:5433/database?target_session_attrs=read-write`.

/// A URL, taken apart into one for each host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PostgresUrl {
    pub(super) hosts: Vec<String>,
    /// Whether servers that are read-only are passed over.
    pub(super) needs_primary: bool,
}

impl PostgresUrl {
    /// # Errors
    /// What is wrong with it, without any part of it that may be a password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("the URL has no `://`")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if tail.contains('#') || tail.contains('@') && !authority.contains('@') {
            return Err("a character of the user or the password is to be escaped: write %23 for `#`, %2F for `/`, %3F for `?`, %40 for `@`".to_owned());
        }
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let at = if authority.contains('@') { "@" } else { "" };
        let (path, query) = tail.split_once('?').map_or((tail, ""), |(path, query)| (path, query));
        let mut needs_primary = hosts.contains(',');
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|it| !it.is_empty()) {
            match pair.split_once('=') {
                Some(("target_session_attrs", "any")) => {}
                Some(("target_session_attrs", "read-write" | "primary" | "prefer-primary")) => needs_primary = true,
                Some(("target_session_attrs", other)) => {
                    return Err(format!(
                        "target_session_attrs={other:?} leads to a server that cannot be written to; use read-write"
                    ));
                }
                _ => kept.push(pair),
            }
        }
        let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
        let hosts = hosts.split(',').map(|host| format!("{scheme}://{user}{at}{host}{path}{query}")).collect();
        Ok(Self { hosts, needs_primary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_become_several_urls() {
        let url = "postgres://ada:s3@first,second:5433/app?target_session_attrs=read-write&sslmode=disable";
        let parsed = PostgresUrl::parse(url).expect("it is a good URL");
        let expected =
            ["postgres://ada:s3@first/app?sslmode=disable", "postgres://ada:s3@second:5433/app?sslmode=disable"];
        assert_eq!(parsed.hosts, expected);
        assert!(parsed.needs_primary);
        let one = PostgresUrl::parse("postgres://localhost/app").expect("it is a good URL");
        assert_eq!(one, PostgresUrl { hosts: vec!["postgres://localhost/app".to_owned()], needs_primary: false });
    }

    #[test]
    fn unescaped_characters_of_a_password_are_refused_and_not_shown() {
        for url in ["postgres://ada:123#s3cret@h/db", "postgres://ada:12/s3cret@h/db", "postgres://ada:1?s3cret@h/db"] {
            let error = PostgresUrl::parse(url).expect_err("it is badly escaped");
            assert!(error.contains("escaped") && !error.contains("s3cret"), "{error}");
        }
        let error =
            PostgresUrl::parse("postgres://h/db?target_session_attrs=standby").expect_err("it cannot be written to");
        assert!(error.contains("use read-write"), "{error}");
    }
}
