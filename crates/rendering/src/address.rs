//! Where links lead and images come from.

/// Schemes that run or carry what is in the address itself.
const SCRIPTS: [&str; 3] = ["javascript:", "vbscript:", "data:"];

/// The schemes that HTML may lead to.
const SCHEMES: [&str; 4] = ["http://", "https://", "mailto:", "tel:"];

/// Whether an address may stand in an HTML document. What is not known to be harmless is not let
/// through; `//host` is not relative, and browsers take `\` for `/`.
pub(crate) fn is_allowed_in_html(address: &str) -> bool {
    if address.chars().any(char::is_control) {
        return false;
    }
    if let Some(path) = address.strip_prefix('/') {
        return !path.starts_with(['/', '\\']);
    }
    SCHEMES.iter().any(|scheme| starts_with(address, scheme))
}

/// Whether an address may be handed to an app, which may have a scheme of its own.
pub(crate) fn is_allowed_in_apps(address: &str) -> bool {
    let controls = address.chars().any(char::is_control);
    !controls
        && !address.is_empty()
        && !address.starts_with(char::is_whitespace)
        && !is_script(address)
}

/// Whether an attribute of this HTML leads to a script. Looks for the attribute rather than parsing:
/// a false alarm in a text about HTML costs a refusal, the opposite would cost more.
pub(crate) fn html_leads_to_script(html: &str) -> bool {
    let lower = html.to_ascii_lowercase();
    ["href", "src", "action", "background", "poster"]
        .iter()
        .any(|attribute| {
            lower.match_indices(attribute).any(|(at, _)| {
                let Some(value) = lower[at + attribute.len()..].trim_start().strip_prefix('=')
                else {
                    return false;
                };
                is_script(value.trim_start().trim_start_matches(['"', '\'']))
            })
        })
}

/// Browsers drop spaces and control characters in front of a scheme, and some inside it.
fn is_script(address: &str) -> bool {
    let scheme: String = address
        .chars()
        .filter(|character| !character.is_control() && !character.is_whitespace())
        .take("javascript:".len())
        .collect();
    SCRIPTS.iter().any(|script| starts_with(&scheme, script))
}

fn starts_with(address: &str, prefix: &str) -> bool {
    address
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_schemes_and_paths_are_let_into_html() {
        for address in [
            "https://a.example/?b=c",
            "HTTP://a.example",
            "mailto:a@b.example",
            "tel:+1",
            "/a",
        ] {
            assert!(is_allowed_in_html(address), "{address}");
        }
        for address in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "\u{1}javascript:alert(1)",
            "java\tscript:alert(1)",
            " https://a.example",
            "data:text/html,x",
            "//a.example",
            "/\\a.example",
            "https://a.example/\r\nb",
            "a.example",
            "",
        ] {
            assert!(!is_allowed_in_html(address), "{address:?}");
        }
    }

    #[test]
    fn apps_have_schemes_of_their_own_but_no_scripts() {
        assert!(is_allowed_in_apps("shop://orders/1"));
        assert!(!is_allowed_in_apps("javascript:alert(1)"));
        assert!(!is_allowed_in_apps("\tdata:text/html,x"));
        assert!(!is_allowed_in_apps(" shop://orders/1"));
    }
}
