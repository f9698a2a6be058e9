//! Blocks as the HTML document of an e-mail. Programs that show e-mail know tables and inline styles.

mod block;

use crate::content::Block;
use crate::{Variables, address, escape};

const PRIMARY: &str = "#1f6feb";
const FONT: &str = "font-family:-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif";

pub(crate) struct Document<'a> {
    pub(crate) title: Option<&'a str>,
    pub(crate) blocks: &'a [Block],
    pub(crate) variables: &'a Variables<'a>,
}

impl Document<'_> {
    pub(crate) fn html(&self) -> String {
        let language = self
            .variables
            .locale
            .map_or_else(|| "en".to_owned(), language);
        let title = escape::html(self.title.unwrap_or_default());
        let primary = self
            .variables
            .brand
            .and_then(|brand| brand.primary.as_deref())
            .unwrap_or(PRIMARY);
        let body: String = self
            .blocks
            .iter()
            .map(|block| block::html(block, primary))
            .collect();
        let (header, footer) = (self.header(), self.footer());
        format!(
            "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>{title}</title>\n</head>\n\
             <body style=\"margin:0;padding:0;background:#f4f4f5\">\n\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\"><tr>\
             <td align=\"center\" style=\"padding:16px\">\n\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
             style=\"max-width:600px;background:#ffffff;{FONT};font-size:16px;line-height:1.5;color:#18181b\">\n\
             {header}<tr><td style=\"padding:24px\">\n{body}</td></tr>\n{footer}\
             </table>\n</td></tr></table>\n</body>\n</html>\n"
        )
    }

    fn header(&self) -> String {
        let Some(brand) = self.variables.brand else {
            return String::new();
        };
        let bar = brand.bar_color.as_ref().map(|color| {
            format!("<tr><td style=\"height:4px;font-size:0;line-height:0;background:{color}\">&nbsp;</td></tr>\n")
        });
        let logo = brand.logo_image.as_ref().map(|image| {
            let image = format!(
                "<img src=\"{}\" alt=\"{}\" style=\"max-height:48px;border:0\">",
                escape::html(image),
                escape::html(&brand.name),
            );
            let image = match &brand.logo_href {
                Some(href) => format!("<a href=\"{}\">{image}</a>", escape::html(href)),
                None => image,
            };
            format!("<tr><td style=\"padding:24px 24px 0\">{image}</td></tr>\n")
        });
        [bar, logo].into_iter().flatten().collect()
    }

    fn footer(&self) -> String {
        let footer = self
            .variables
            .brand
            .and_then(|brand| brand.footer.as_deref());
        let footer = footer
            .map(|footer| format!("<p style=\"margin:0 0 8px\">{}</p>\n", block::lines(footer)));
        let links = self.variables.links.map(|links| {
            let link = |label: &str, href: &str| {
                let href = address::is_allowed_in_html(href).then(|| escape::html(href))?;
                Some(format!(
                    "<a href=\"{href}\" style=\"color:#71717a\">{label}</a>"
                ))
            };
            let links = [
                link("Unsubscribe", &links.unsubscribe),
                link("Preferences", &links.preferences),
            ];
            let links: Vec<String> = links.into_iter().flatten().collect();
            format!("<p style=\"margin:0\">{}</p>\n", links.join(" &middot; "))
        });
        let inside: String = [footer, links].into_iter().flatten().collect();
        if inside.is_empty() {
            return String::new();
        }
        format!(
            "<tr><td style=\"padding:16px 24px;font-size:12px;color:#71717a\">\n{inside}</td></tr>\n"
        )
    }
}

/// The tag of a language where it is one, and English otherwise.
fn language(locale: &str) -> String {
    let tag = locale.replace('_', "-");
    let is_tag = tag.len() <= 35
        && tag
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    if is_tag && !tag.is_empty() {
        tag
    } else {
        "en".to_owned()
    }
}
