//! Tables of good, bad and malicious locations.

use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::specification::location::{Location, LocationReason, Scheme, check_absolute_path, check_host, parse_url};

fn hosts() -> Vec<String> {
    vec!["aohost".to_owned(), "aohost.observatory.example".to_owned()]
}

#[test]
fn accepted() {
    let local = |path: &str| Location::Local(path.to_owned());
    let host = |host: &str, path: &str| Location::Host { host: host.to_owned(), path: path.to_owned() };
    for (text, expected) in [
        ("/data/a.fits", local("/data/a.fits")),
        ("a.fits", local("a.fits")),
        ("./-a.fits", local("./-a.fits")),
        ("night/a b;c.fits", local("night/a b;c.fits")),
        ("/data/été.fits", local("/data/été.fits")),
        ("XMPL.2031-02-03T04:05:06.789.fits", local("XMPL.2031-02-03T04:05:06.789.fits")),
        ("/data/XMPL.2031-02-03T04:05:06.789.fits", local("/data/XMPL.2031-02-03T04:05:06.789.fits")),
        ("dir/h:/x", local("dir/h:/x")),
        ("dir/h://x", local("dir/h://x")),
        ("..a/b..", local("..a/b..")),
        ("aohost:/data/ao/tlm.fits", host("aohost", "/data/ao/tlm.fits")),
        ("ao@aohost:/a:b", host("ao@aohost", "/a:b")),
        ("h:/a b;touch P", host("h", "/a b;touch P")),
        ("10.0.0.1:/x", host("10.0.0.1", "/x")),
        ("[fe80::1]:/x", host("[fe80::1]", "/x")),
        ("u@[::1]:/x", host("u@[::1]", "/x")),
    ] {
        assert_eq!(Location::parse(text), Ok(expected.clone()), "{text}");
        assert_eq!(expected.to_string(), text);
    }
}

#[test]
fn urls() {
    let check = |text: &str, scheme, user: Option<&str>, host: &str, port: Option<u16>, path: &str| {
        let Ok(Location::Url(url)) = Location::parse(text) else { panic!("{text}: {:?}", Location::parse(text)) };
        let seen = (url.scheme, url.user.as_deref(), url.host.as_str(), url.port, url.path.as_str());
        assert_eq!(seen, (scheme, user, host, port, path), "{text}");
        assert_eq!(url.text, text);
    };
    check("file:///d/a%20b.fits", Scheme::File, None, "", None, "/d/a b.fits");
    check("file://localhost/d/a", Scheme::File, None, "", None, "/d/a");
    check("ssh://u@h:2222/d/a", Scheme::Ssh, Some("u"), "h", Some(2222), "/d/a");
    check("rsync://h/module/a", Scheme::Rsync, None, "h", None, "/module/a");
    check("HTTP://h/a?key=1", Scheme::Http, None, "h", None, "/a");
    check("https://[::1]:443/a", Scheme::Https, None, "[::1]", Some(443), "/a");
    check("s3://bucket/k/a.fits", Scheme::S3, None, "bucket", None, "/k/a.fits");
    check("gs://bucket/a", Scheme::Gs, None, "bucket", None, "/a");
    check("az://container/a", Scheme::Az, None, "container", None, "/a");
}

#[test]
fn refused() {
    use LocationReason as R;
    let dash = |part| R::LeadingDash { part };
    let host = |host: &str| R::Host { host: host.to_owned() };
    let user = |user: &str| R::User { user: user.to_owned() };
    let long = "x".repeat(4097);
    for (text, expected) in [
        ("", R::Empty),
        (long.as_str(), R::TooLong),
        ("/a\0b", R::Character { character: '\0' }),
        ("/a\nb", R::Character { character: '\n' }),
        ("/a\u{202e}b", R::Character { character: '\u{202e}' }),
        ("h\u{ff1a}/b", R::Character { character: '\u{ff1a}' }),
        ("/a/\u{2025}/b", R::Character { character: '\u{2025}' }),
        ("-x", dash("it")),
        ("-e sh:/x", dash("it")),
        ("-oProxyCommand=touch P:/x", dash("it")),
        ("u@-oProxyCommand=x:/x", dash("the host")),
        ("ssh://-oProxyCommand=x/x", dash("the host")),
        ("ssh://-o@h/x", dash("the user")),
        ("::mod/x", R::RsyncModule),
        ("h::mod/x", R::RsyncModule),
        ("h::/x", R::RsyncModule),
        ("h:", R::NotAbsolute),
        (":/x", R::NotAbsolute),
        ("a b:/x", host("a b")),
        ("h$(x):/x", host("h$(x)")),
        ("hôte:/x", host("hôte")),
        ("[zz]:/x", host("[zz]")),
        (".h:/x", host(".h")),
        ("@h:/x", user("")),
        ("u;x@h:/x", user("u;x")),
        ("u@v@h:/x", host("v@h")),
        ("file:/x", host("file")),
        ("..", R::ParentFolder),
        ("../x", R::ParentFolder),
        ("/a/../x", R::ParentFolder),
        ("h:/a/../x", R::ParentFolder),
        ("file:///a/%2e%2e/x", R::ParentFolder),
        ("file:///a%00", R::Character { character: '\0' }),
        ("/", R::Folder),
        ("/a/", R::Folder),
        ("/a/.", R::Folder),
        (".", R::Folder),
        ("h:/", R::Folder),
        ("s3://bucket", R::Folder),
        ("s3://bucket/a/", R::Folder),
        ("file://elsewhere/x", R::FileHost),
        ("ftp://h/x", R::Scheme { scheme: "ftp".to_owned() }),
        ("aohost://data/x", R::Scheme { scheme: "aohost".to_owned() }),
        ("https://u:p@h/x", R::Credentials),
        ("https://u@h/x", R::Credentials),
        ("ssh://u:p@h/x", R::Credentials),
        ("s3:///x", host("")),
        ("https://h:0/x", R::Url { problem: "the port is no number" }),
        ("https://h:99999/x", R::Url { problem: "the port is no number" }),
        ("https://h/a#b", R::Url { problem: "it has a fragment" }),
        ("s3://b/a?x", R::Url { problem: "only http and https have a query" }),
        ("https://h/a b", R::Url { problem: "a URL holds neither spaces nor such characters" }),
        ("https://h/é", R::Url { problem: "a URL holds neither spaces nor such characters" }),
        ("https://h/%zz", R::Url { problem: "a percent sign is not followed by the code of a UTF-8 byte" }),
        ("https://h/%ff", R::Url { problem: "a percent sign is not followed by the code of a UTF-8 byte" }),
        ("https://h/a%2", R::Url { problem: "a percent sign is not followed by the code of a UTF-8 byte" }),
    ] {
        let fault = Location::parse(text).expect_err(text);
        assert_eq!(fault.reason, expected, "{text}");
        assert!(!fault.to_string().contains(['\n', '\0', '\u{202e}']), "{fault}");
    }
}

#[test]
fn hints() {
    for (text, hint) in [
        ("htps://h/x", "did you mean https://"),
        ("file:/x", "a URL is written file://"),
        ("h::m/x", "rsync://host/module/path"),
        ("aohost://data/x", "a host and path are written host:/path"),
    ] {
        let fault = Location::parse(text).expect_err(text);
        assert!(fault.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {fault:?}");
    }
}

#[test]
fn on_this_host() {
    for (text, expected) in [
        ("/a", Some("/a")),
        ("a", Some("a")),
        ("AOhost:/a", Some("/a")),
        ("u@aohost.observatory.example:/a", Some("/a")),
        ("localhost:/a", Some("/a")),
        ("[::1]:/a", Some("/a")),
        ("file:///a%20b", Some("/a b")),
        ("other:/a", None),
        ("https://aohost/a", None),
    ] {
        let location = Location::parse(text).expect(text);
        assert_eq!(location.local_path(&hosts()), expected, "{text}");
        assert_eq!(location.is_on(&hosts()), expected.is_some(), "{text}");
    }
    assert_eq!(Location::parse("h:/d/a.fits").expect("host").file_name(), "a.fits");
}

#[test]
fn folders_hosts_and_prefixes() {
    for (path, is_good) in [("/a", true), ("/a/", true), ("/", true), ("a", false), ("", false), ("/a/../b", false)] {
        assert_eq!(check_absolute_path(path).is_ok(), is_good, "{path}");
    }
    for (host, is_good) in [("h", true), ("u@h", true), ("-h", false), ("", false), ("h:1", false), ("h/x", false)] {
        assert_eq!(check_host(host).is_ok(), is_good, "{host}");
    }
    for (url, is_good) in [("s3://b", true), ("s3://b/p/", true), ("b/p", false), ("", false), ("-s3://b", false)] {
        assert_eq!(parse_url(url).is_ok(), is_good, "{url}");
    }
}

proptest! {
    #[test]
    fn any_text_is_survived_and_what_is_accepted_is_safe(text in "[-a:/@.\\[\\]%#?0 é\u{202e}]{0,12}|\\PC{0,20}") {
        if let Ok(location) = Location::parse(&text) {
            prop_assert_eq!(location.to_string(), text.clone());
            prop_assert_eq!(text.starts_with('-'), false);
            prop_assert_eq!(text.split('/').any(|component| component == ".."), false);
            if let Location::Host { host, path } = location {
                prop_assert_eq!(host.starts_with('-') || !path.starts_with('/'), false);
            }
        }
    }

    #[test]
    fn any_characters_are_survived(text in any::<String>()) {
        let _ = (Location::parse(&text), parse_url(&text), check_host(&text), check_absolute_path(&text));
    }
}
