//! Every address of the site.

/// The start page.
pub const HOME: &str = "/";
/// The list of runtimes and their tokens.
pub const TOKENS: &str = "/tokens";
/// Where a person signs in.
pub const SIGN_IN: &str = "/sign-in";
/// Where a person changes the password.
pub const PASSWORD: &str = "/password";
/// What was done with a person's tokens and account.
pub const AUDIT: &str = "/audit";
/// The same as a file.
pub const AUDIT_EXPORT: &str = "/audit/export";
/// The first person's one-time link starts with this.
pub const SETUP: &str = "/setup";
/// Everybody else's one-time link starts with this.
pub const WELCOME: &str = "/welcome";
/// What the visitor was told.
pub const NOTICES: &str = "/notifications";
/// Whether, and where else, the visitor is told.
pub const NOTICE_SETTINGS: &str = "/notifications/settings";
/// A link that was mailed to an address leads here, with its secret as `secret`.
pub const CONFIRM: &str = "/notifications/confirm";
/// What open pages listen to: server-sent events.
pub const EVENTS: &str = "/events";
/// OAuth2 starts here (`POST`).
pub const CONNECT: &str = "/connect";
/// The provider sends people back here.
pub const CALLBACK: &str = "/callback";
/// What comes before the name of every server function.
pub const API: &str = "/api";

/// The keys of a runtime, for admins of its account.
pub fn runtime_keys(runtime: &str) -> String {
    format!("/admin/runtimes/{}", encode(runtime).replace('/', "%2F"))
}

/// What was done in an account, for its admins.
pub fn account_audit(account: &str) -> String {
    format!("/admin/accounts/{account}/audit")
}

/// The same as a file.
pub fn account_audit_export(account: &str) -> String {
    format!("/admin/accounts/{account}/audit/export")
}

/// The page to add or replace the token of one runtime; also the dialog's address without script.
pub fn runtime(id: &str) -> String {
    format!("{TOKENS}/{id}")
}

/// The same page, saying what was done there.
pub fn runtime_after(did: &str, id: &str) -> String {
    format!("{TOKENS}/{id}?did={did}")
}

/// What the visitor was told before this notice.
pub fn notices_before(notice: i64) -> String {
    format!("{NOTICES}?before={notice}")
}

/// The page that asks before a token is deleted.
pub fn delete(id: &str) -> String {
    format!("{TOKENS}/{id}/delete")
}

/// Where the form "Authorize access" goes.
pub fn connect(id: &str) -> String {
    format!("{CONNECT}/{id}")
}

/// The redirect URI of one provider, below the site's public address.
pub fn callback(provider: &str) -> String {
    format!("{CALLBACK}/{provider}")
}

/// The list, at the row of one runtime, saying what was done with it.
pub fn row(did: &str, runtime: &str) -> String {
    row_left(did, runtime, 0)
}

/// The same, and how many further runtimes had to be left out.
pub fn row_left(did: &str, runtime: &str, left: usize) -> String {
    let runtime = encode(runtime);
    let left = if left == 0 { String::new() } else { format!("&left={left}") };
    format!("{TOKENS}?did={did}&runtime={runtime}{left}#{runtime}")
}

/// The sign-in page that leads back to `place` afterwards, but not to the error of a form: whoever comes back has done
/// what it asked for.
pub fn sign_in_then(place: &str) -> String {
    let (page, query) = place.split_once('?').unwrap_or((place, ""));
    let mut back = String::from(page);
    let mut mark = '?';
    for part in query.split('&') {
        if !part.is_empty() && !part.starts_with("__path=") && !part.starts_with("__err=") {
            back.push(mark);
            back.push_str(part);
            mark = '&';
        }
    }
    format!("{SIGN_IN}?then={}", encode(&back))
}

/// The list with a filter, a selection and a page; what is usual stays out of the address.
pub fn list(filter: &str, show: &str, page: u32) -> String {
    let mut place = String::from(TOKENS);
    let mut mark = '?';
    let mut add = |name: &str, value: &str| {
        place.push(mark);
        place.push_str(name);
        place.push('=');
        place.push_str(value);
        mark = '&';
    };
    if !filter.is_empty() {
        add("q", &encode(filter));
    }
    if show != "all" {
        add("show", show);
    }
    if page > 1 {
        add("page", &page.to_string());
    }
    place
}

/// Which page an address leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place<'a> {
    /// [`HOME`].
    Home,
    /// [`TOKENS`].
    Tokens,
    /// [`runtime`], with the runtime's id.
    Runtime(&'a str),
    /// [`delete`], with the runtime's id.
    Delete(&'a str),
    /// [`NOTICES`].
    Notices,
    /// [`NOTICE_SETTINGS`].
    NoticeSettings,
    /// [`CONFIRM`].
    Confirm,
    /// [`PASSWORD`].
    Password,
    /// [`SIGN_IN`].
    SignIn,
    /// [`SETUP`].
    SetUp,
    /// [`WELCOME`].
    Welcome,
    /// No page of ours.
    Nowhere,
}

impl<'a> Place<'a> {
    /// The page at this path.
    pub fn of(path: &'a str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (None, ..) => Self::Home,
            (Some("tokens"), None, ..) => Self::Tokens,
            (Some("tokens"), Some(runtime), None, _) => Self::Runtime(runtime),
            (Some("tokens"), Some(runtime), Some("delete"), None) => Self::Delete(runtime),
            (Some("notifications"), None, ..) => Self::Notices,
            (Some("notifications"), Some("settings"), None, _) => Self::NoticeSettings,
            (Some("notifications"), Some("confirm"), None, _) => Self::Confirm,
            (Some("password"), None, ..) => Self::Password,
            (Some("sign-in"), None, ..) => Self::SignIn,
            (Some("setup"), Some(_), None, _) => Self::SetUp,
            (Some("welcome"), Some(_), None, _) => Self::Welcome,
            _ => Self::Nowhere,
        }
    }

    /// Whether only people who are signed in come here.
    pub fn is_for_people(self) -> bool {
        !matches!(self, Self::SignIn | Self::SetUp | Self::Welcome | Self::Nowhere)
    }

    /// What the window is called.
    pub fn title(self) -> String {
        let subject = match self {
            Self::Home => "Home",
            Self::Tokens => "Git Personal Access Token",
            Self::Runtime(id) if is_plain(id) => return [id, ": Git provider access · Gitward"].concat(),
            Self::Runtime(_) => "Git provider access",
            Self::Delete(id) if is_plain(id) => return ["Delete the token of ", id, " · Gitward"].concat(),
            Self::Delete(_) => "Delete a token",
            Self::Notices => "Notifications",
            Self::NoticeSettings => "Notification settings",
            Self::Confirm => "Confirm an address",
            Self::Password => "Change password",
            Self::SignIn => "Sign in",
            Self::SetUp => "Set up",
            Self::Welcome => "Choose a password",
            Self::Nowhere => "Nothing here",
        };
        [subject, " · Gitward"].concat()
    }
}

/// Whether an id from an address may be shown: nobody should be able to write sentences into a title.
fn is_plain(id: &str) -> bool {
    id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// `place` if it is an address on this site, else the list. Never leads to another host, and fits into a header.
pub fn safe_place(place: &str) -> String {
    let inside = place.starts_with('/')
        && !place.starts_with("//")
        && !place.contains(|character: char| character == '\\' || character.is_control())
        && !place.starts_with(SIGN_IN);
    if inside { encode_unless(place, |byte| byte.is_ascii_graphic()) } else { TOKENS.to_owned() }
}

/// Percent-encodes what must not stand in a query value.
pub fn encode(text: &str) -> String {
    encode_unless(text, |byte| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte))
}

fn encode_unless(text: &str, stays: fn(u8) -> bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stays(byte) {
            out.push(byte as char);
        } else {
            out.push('%');
            out.push(HEX[usize::from(byte >> 4)] as char);
            out.push(HEX[usize::from(byte & 15)] as char);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_another_host_is_never_followed() {
        for place in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
            "",
            "/a\nb",
            "/a\u{1}",
            "/a\u{7f}",
            "/a\u{85}",
        ] {
            assert_eq!(safe_place(place), TOKENS, "{place:?}");
        }
        assert_eq!(safe_place("/tokens/acme.prod?x=1"), "/tokens/acme.prod?x=1");
    }

    #[test]
    fn a_place_fits_into_a_header() {
        assert_eq!(safe_place("/tokens?q=zürich a%01"), "/tokens?q=z%C3%BCrich%20a%01");
    }

    #[test]
    fn every_page_has_a_title_of_its_own() {
        let paths = [
            "/",
            "/tokens",
            "/tokens/a",
            "/tokens/a/delete",
            "/notifications",
            "/notifications/settings",
            "/notifications/confirm",
            "/password",
            "/sign-in",
            "/setup/x",
            "/welcome/x",
            "/x",
        ];
        let mut titles: Vec<_> = paths.iter().map(|path| Place::of(path).title()).collect();
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), paths.len());
        assert_eq!(Place::of("/tokens/call%20555").title(), "Git provider access · Gitward");
    }

    #[test]
    fn a_list_without_wishes_has_a_short_address() {
        assert_eq!(list("", "all", 1), TOKENS);
        assert_eq!(list("a b", "need-you", 2), "/tokens?q=a%20b&show=need-you&page=2");
    }

    #[test]
    fn a_place_survives_the_query() {
        assert_eq!(sign_in_then("/tokens?q=a&b"), "/sign-in?then=/tokens%3Fq%3Da%26b");
        assert_eq!(sign_in_then("/tokens/a?__path=%2Fapi&__err=x"), "/sign-in?then=/tokens/a");
        assert_eq!(sign_in_then("/tokens?__path=%2Fapi&q=a&__err=x"), "/sign-in?then=/tokens%3Fq%3Da");
    }

    #[test]
    fn a_row_tells_how_many_were_left_out() {
        assert_eq!(row_left("added", "a b", 2), "/tokens?did=added&runtime=a%20b&left=2#a%20b");
        assert_eq!(row("added", "a"), "/tokens?did=added&runtime=a#a");
    }
}
