//! Reads Rust source as far as its structure shows: which paths a file names, which types it defines, and of which types
//! it has `impl` blocks. Tests inside the files are left out.

use std::collections::{BTreeMap, BTreeSet};

/// Names from the root of the crate: `relay::link` is `["relay", "link"]`.
pub(crate) type Path = Vec<String>;

/// What one file says.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// Paths as they are written, those of `use` lines in full.
    pub(crate) paths: BTreeSet<Path>,
    /// What a name stands for that a `use` line has brought in.
    imported: BTreeMap<String, Path>,
    /// Names of its structs, enums, unions, traits and type aliases.
    defined: BTreeSet<String>,
    pub(crate) impls: Vec<Impl>,
}

/// An `impl` block.
#[derive(Debug)]
pub(crate) struct Impl {
    /// None: the block is inherent.
    pub(crate) of_trait: Option<Path>,
    pub(crate) of_type: Path,
}

impl File {
    pub(crate) fn read(source: &str) -> Self {
        let tokens = without_tests(&tokens(source));
        let mut file = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            at = match tokens[at].as_str() {
                "use" => file.read_use(&tokens, at + 1),
                "impl" if begins_item(&tokens, at) => file.read_impl(&tokens, at + 1),
                "struct" | "enum" | "union" | "trait" | "type" => {
                    file.defined.extend(name(&tokens, at + 1));
                    at + 1
                }
                _ => file.read_path(&tokens, at),
            };
        }
        file
    }

    /// A path with what its first name stands for in this file.
    pub(crate) fn in_full(&self, path: &Path) -> Path {
        match path.split_first() {
            Some((first, rest)) if self.imported.contains_key(first) => {
                [&self.imported[first], rest].concat()
            }
            _ => path.clone(),
        }
    }

    /// Whether a path names a type or trait of this file.
    pub(crate) fn defines(&self, path: &Path) -> bool {
        matches!(&path[..], [name] if self.defined.contains(name))
    }

    fn read_use(&mut self, tokens: &[String], at: usize) -> usize {
        let end = find(tokens, at, ";");
        self.read_tree(&tokens[at..end], &Path::new());
        end
    }

    /// One branch of a `use` line, such as `a::{b, c as d}`.
    fn read_tree(&mut self, tokens: &[String], before: &Path) {
        let mut path = before.clone();
        for (at, token) in tokens.iter().enumerate() {
            match token.as_str() {
                "::" => {}
                "self" if at > 0 || !before.is_empty() => {}
                "as" => return self.import(name(tokens, at + 1), path),
                "*" => return self.import(None, path),
                "{" => {
                    let inside = &tokens[at + 1..tokens.len() - 1];
                    return branches(inside).for_each(|branch| self.read_tree(branch, &path));
                }
                name => path.push(name.to_owned()),
            }
        }
        self.import(path.last().cloned(), path);
    }

    fn import(&mut self, name: Option<String>, path: Path) {
        if let Some(name) = name {
            self.imported.insert(name, path.clone());
        }
        self.paths.insert(path);
    }

    /// The path that begins here, if one does.
    fn read_path(&mut self, tokens: &[String], at: usize) -> usize {
        let mut path: Path = name(tokens, at).into_iter().collect();
        let mut end = at + 1;
        while !path.is_empty() && tokens.get(end).is_some_and(|token| token == "::") {
            let Some(next) = name(tokens, end + 1) else {
                break;
            };
            path.push(next);
            end += 2;
        }
        if path.len() > 1 {
            self.paths.insert(path);
        }
        end
    }

    /// The head of an `impl` block. The paths in it are read once more, as paths.
    fn read_impl(&mut self, tokens: &[String], at: usize) -> usize {
        let end = find(tokens, at, "{").min(find(tokens, at, "where"));
        let mut named = vec![Path::new()];
        let mut depth = 0;
        for (at, token) in tokens.iter().enumerate().take(end).skip(at) {
            match token.as_str() {
                "<" => depth += 1,
                ">" if tokens[at - 1] != "-" => depth -= 1,
                "for" if depth == 0 => named.push(Path::new()),
                _ if depth == 0 => {
                    if let Some(path) = named.last_mut() {
                        path.extend(name(tokens, at));
                    }
                }
                _ => {}
            }
        }
        let of_type = named.pop().unwrap_or_default();
        let of_trait = named.pop();
        self.impls.push(Impl { of_trait, of_type });
        at
    }
}

/// An `impl` that begins a block, and not a type such as `impl Fn()`.
fn begins_item(tokens: &[String], at: usize) -> bool {
    at == 0 || ["}", "{", ";", "]", "unsafe"].contains(&tokens[at - 1].as_str())
}

fn name(tokens: &[String], at: usize) -> Option<String> {
    let token = tokens.get(at)?;
    token.starts_with(is_of_name).then(|| token.clone())
}

fn find(tokens: &[String], from: usize, wanted: &str) -> usize {
    let found = tokens[from..].iter().position(|token| token == wanted);
    found.map_or(tokens.len(), |at| from + at)
}

/// What lies between the commas outside inner braces.
fn branches(tokens: &[String]) -> impl Iterator<Item = &[String]> {
    let mut depth = 0;
    tokens
        .split(move |token| {
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            depth == 0 && token == ","
        })
        .filter(|branch| !branch.is_empty())
}

/// Leaves out each item under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..]
            .iter()
            .zip(MARK)
            .filter(|(a, b)| a == b)
            .count()
            == MARK.len()
        {
            at = end_of_item(tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn end_of_item(tokens: &[String], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && (token == "}" || token == ";") {
            return at + 1;
        }
    }
    tokens.len()
}

/// Names, `::` and single marks; without comments, literals, numbers and lifetimes.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            _ if rest.starts_with("::") => keep(&mut tokens, &rest[..2]),
            '"' => quoted(rest),
            '\'' => quote_or_lifetime(rest),
            _ if raw_string(rest).is_some() => raw_string(rest).unwrap_or_default(),
            _ if is_raw_name(rest) => 2,
            _ if first.is_ascii_digit() => name_length(rest),
            _ if is_of_name(first) => keep(&mut tokens, &rest[..name_length(rest)]),
            _ if first.is_whitespace() => first.len_utf8(),
            _ => keep(&mut tokens, &rest[..first.len_utf8()]),
        };
        rest = &rest[length..];
    }
    tokens
}

fn keep(tokens: &mut Vec<String>, token: &str) -> usize {
    tokens.push(token.to_owned());
    token.len()
}

fn is_of_name(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn name_length(text: &str) -> usize {
    text.find(|character| !is_of_name(character))
        .unwrap_or(text.len())
}

/// `r#loop`: the name `loop`.
fn is_raw_name(text: &str) -> bool {
    text.strip_prefix("r#")
        .is_some_and(|name| name.starts_with(is_of_name))
}

/// The length of a string in double quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, character)| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// The length of a string such as `r#"…"#`, `b"…"` or `c"…"`, or of nothing.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = name_length(text);
    if !["r", "b", "c", "br", "cr"].contains(&&text[..prefix]) {
        return None;
    }
    let hashes = text[prefix..].find(|mark| mark != '#')?;
    let opening = prefix + hashes;
    if !text[opening..].starts_with('"') {
        return None;
    }
    if text[..prefix].ends_with('r') {
        let closing = format!("\"{}", "#".repeat(hashes));
        let end = text[opening + 1..].find(&closing)?;
        return Some(opening + 1 + end + closing.len());
    }
    Some(opening + quoted(&text[opening..]))
}

/// The length of a character in single quotes, or of a lifetime.
fn quote_or_lifetime(text: &str) -> usize {
    let inside = &text[1..];
    if let Some(escaped) = inside.strip_prefix('\\') {
        let second = escaped.chars().next().map_or(0, char::len_utf8);
        return 2 + second + escaped[second..].find('\'').map_or(0, |at| at + 1);
    }
    let first = inside.chars().next().map_or(0, char::len_utf8);
    if inside[first..].starts_with('\'') {
        first + 2
    } else {
        1 + name_length(inside)
    }
}
