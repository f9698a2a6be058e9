//! Which templates there can be: fewer than the engine knows.
//!
//! Fuel counts instructions and not how long texts become, and the engine can switch its escaping
//! off from inside a template. What leads there is refused before the engine sees it.

use crate::limits::{TEMPLATE_CONCATENATIONS_MAX, TEMPLATE_LOOPS_NESTED_MAX};
use crate::template::filters::FILTERS;

/// The words that a `{% … %}` may begin with.
const TAGS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor"];

/// The template as the engine is to see it.
pub(crate) fn check_template(source: &str) -> Result<String, String> {
    let mut scanner = Scanner::new(source);
    while let Some(at) = scanner.next_tag() {
        scanner.copy_until(at);
        match &scanner.rest()[..2] {
            "{#" => scanner.comment(),
            "{%" => scanner.tag("%}")?,
            _ => scanner.tag("}}")?,
        }
    }
    scanner.copy_until(source.len());
    Ok(scanner.checked)
}

/// The expression as the engine is to see it.
pub(crate) fn check_expression(source: &str) -> Result<String, String> {
    let mut scanner = Scanner::new(source);
    scanner.expression(None)?;
    Ok(scanner.checked)
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    checked: String,
    loops: usize,
    concatenations: usize,
}

impl<'a> Scanner<'a> {
    fn new(source: &'a str) -> Self {
        let checked = String::with_capacity(source.len());
        Self {
            source,
            at: 0,
            checked,
            loops: 0,
            concatenations: 0,
        }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn next_tag(&self) -> Option<usize> {
        let rest = self.rest().as_bytes();
        let found = rest
            .windows(2)
            .position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'));
        found.map(|found| self.at + found)
    }

    fn copy_until(&mut self, end: usize) {
        self.checked.push_str(&self.source[self.at..end]);
        self.at = end;
    }

    fn comment(&mut self) {
        let end = self
            .rest()
            .find("#}")
            .map_or(self.source.len(), |end| self.at + end + 2);
        self.copy_until(end);
    }

    fn tag(&mut self, end: &'static str) -> Result<(), String> {
        self.copy_until(self.at + 2);
        if self.rest().starts_with(['-', '+']) {
            self.copy_until(self.at + 1);
        }
        let mut is_loop = false;
        if end == "%}" {
            let spaces = self.rest().len() - self.rest().trim_start().len();
            self.copy_until(self.at + spaces);
            let word = word(self.rest());
            if !TAGS.contains(&word) {
                return Err(format!("Expected one of the tags {}.", TAGS.join(", ")));
            }
            is_loop = word == "for";
            self.loops = match word {
                "for" => self.loops + 1,
                "endfor" => self.loops.saturating_sub(1),
                _ => self.loops,
            };
            if self.loops > TEMPLATE_LOOPS_NESTED_MAX {
                return Err(format!(
                    "Expected at most {TEMPLATE_LOOPS_NESTED_MAX} loops inside each other."
                ));
            }
        }
        let before = self.concatenations;
        self.expression(Some(end))?;
        // The name that a loop gives to a text made longer could be made longer again inside it.
        if is_loop && self.concatenations > before {
            return Err("Expected no `+` and no `~` in the head of a loop.".to_owned());
        }
        Ok(())
    }

    /// Up to the end of the tag, or of the source.
    fn expression(&mut self, end: Option<&'static str>) -> Result<(), String> {
        while let Some(character) = self.rest().chars().next() {
            if let Some(end) = end
                && (self.rest().starts_with(end)
                    || self.rest()[character.len_utf8()..].starts_with(end)
                        && matches!(character, '+' | '-'))
            {
                let length = end.len() + usize::from(matches!(character, '+' | '-'));
                self.copy_until(self.at + length);
                return Ok(());
            }
            match character {
                '"' | '\'' => self.text(character)?,
                '{' | '}' => return Err("Expected no braces inside a tag.".to_owned()),
                '*' => {
                    return Err(
                        "Expected no multiplication: texts and lists could grow by it.".to_owned(),
                    );
                }
                '+' | '~' => {
                    self.concatenations += 1;
                    if self.concatenations > TEMPLATE_CONCATENATIONS_MAX {
                        let most = TEMPLATE_CONCATENATIONS_MAX;
                        return Err(format!("Expected at most {most} times `+` or `~`."));
                    }
                    self.copy_until(self.at + 1);
                }
                '|' => self.filter()?,
                // `$.item` is how Courier names what a loop is at.
                '$' if self.rest().starts_with("$.") => self.at += 2,
                _ if is_word(character) => {
                    let word = word(self.rest());
                    if word == "recursive" {
                        return Err("Expected no recursive loop.".to_owned());
                    }
                    self.copy_until(self.at + word.len());
                }
                _ => self.copy_until(self.at + character.len_utf8()),
            }
        }
        Ok(())
    }

    fn text(&mut self, quote: char) -> Result<(), String> {
        let mut escaped = false;
        for (index, character) in self.rest().char_indices().skip(1) {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if character == quote => {
                    self.copy_until(self.at + index + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("Expected the end of a text in quotes.".to_owned())
    }

    /// The engine would notice an unknown filter only when it comes to it.
    fn filter(&mut self) -> Result<(), String> {
        let name = self.rest()[1..].trim_start();
        let spaces = self.rest().len() - 1 - name.len();
        let name = word(name);
        if !FILTERS.contains(&name) {
            return Err(format!(
                "Expected one of the filters {}.",
                FILTERS.join(", ")
            ));
        }
        self.copy_until(self.at + 1 + spaces + name.len());
        Ok(())
    }
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_ascii_alphanumeric()
}

fn word(source: &str) -> &str {
    &source[..source
        .find(|character| !is_word(character))
        .unwrap_or(source.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_grow_or_switch_the_escaping_off_is_refused() {
        for source in [
            "{% autoescape false %}{{ a }}{% endautoescape %}",
            "{%- set a = a ~ a %}",
            "{% raw %}{{ '{% endraw %}",
            "{% for a in b recursive %}{{ loop(a) }}{% endfor %}",
            "{% for a in ['%}', x ~ x] %}{{ a }}{% endfor %}",
            "{{ a * 1000000 }}",
            "{{ a|safe }}",
            "{{ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a }}",
            "{% for a in b %}{% for a in b %}{% for a in b %}{% for a in b %}x",
            "{{ {'a': 1} }}",
            "{{ 'a }}",
        ] {
            assert!(check_template(source).is_err(), "{source}");
        }
    }

    #[test]
    fn the_rest_is_left_as_it_is_but_for_the_names_of_loops() {
        let source =
            "{# * #}2 * 3 {{- a.b['}} *'] | default(\"{\") -}} {%+ if $.item.c +%}ü{% endif %}{";
        let checked = check_template(source).unwrap();
        assert_eq!(checked, source.replace("$.", ""));
        assert_eq!(
            check_expression("$.item.a == '$.b'").unwrap(),
            "item.a == '$.b'"
        );
    }
}
