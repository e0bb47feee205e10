//! The structure of `src`: its files use each other in one direction, and what a type can do is in the file that
//! defines it. Otherwise a method in one file could be called from a file below it, and no import would show it.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path as Folder;

use file::{File, Path};

/// The files of a crate, by the modules they are.
#[derive(Default)]
struct Tree(BTreeMap<Path, File>);

type Uses = BTreeMap<String, BTreeSet<String>>;

impl Tree {
    fn of_this_crate() -> Self {
        let mut tree = Self::default();
        tree.read(&Folder::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[]);
        tree
    }

    fn read(&mut self, folder: &Folder, module: &[String]) {
        for entry in fs::read_dir(folder).expect("a folder of the source") {
            let path = entry.expect("an entry of it").path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let inner = [module, &[name.expect("a name in UTF-8").to_owned()]].concat();
            if path.is_dir() {
                self.read(&path, &inner);
            } else {
                let source = fs::read_to_string(&path).expect("a file of the source");
                self.add(inner, &source);
            }
        }
    }

    /// Adds a file by its place below `src`.
    fn add(&mut self, mut place: Path, source: &str) {
        if place
            .last()
            .is_some_and(|name| name == "mod" || name == "lib")
        {
            place.pop();
        }
        self.0.insert(place, File::read(source));
    }

    /// Which files each file uses.
    fn uses(&self) -> Uses {
        self.edges(shown)
    }

    /// Which rooms each room uses: the folders and files directly below `src`.
    fn uses_of_rooms(&self) -> Uses {
        self.edges(|module| shown(&module[..module.len().min(1)]))
    }

    fn edges(&self, name: impl Fn(&[String]) -> String) -> Uses {
        let mut uses = Uses::new();
        for (module, file) in &self.0 {
            let from = name(module);
            let targets = file
                .paths
                .iter()
                .filter_map(|path| self.find(module, file, path));
            let targets = targets.map(&name).filter(|to| *to != from);
            uses.entry(from.clone()).or_default().extend(targets);
        }
        uses
    }

    /// The module that a path in the file of `module` leads into.
    fn find(&self, module: &[String], file: &File, path: &Path) -> Option<&[String]> {
        let path = file.in_full(path);
        let (first, rest) = path.split_first()?;
        let absolute = match first.as_str() {
            "crate" => rest.to_vec(),
            "self" => [module, rest].concat(),
            "super" => above(module, &path)?,
            _ => [module, &path[..]].concat(),
        };
        let depth = (0..=absolute.len())
            .rev()
            .find(|&depth| self.0.contains_key(&absolute[..depth]))?;
        let relative = !matches!(first.as_str(), "crate" | "self" | "super");
        if relative && depth <= module.len() {
            return None;
        }
        self.0
            .get_key_value(&absolute[..depth])
            .map(|(module, _)| &module[..])
    }

    /// Each `impl` block of a type that another file defines. One of a trait is at home with the trait as well.
    fn strayed_impls(&self) -> Vec<String> {
        let mut strayed = Vec::new();
        for (module, file) in &self.0 {
            for block in &file.impls {
                let elsewhere = self
                    .find(module, file, &block.of_type)
                    .is_some_and(|home| home != module);
                if elsewhere
                    && !block
                        .of_trait
                        .as_ref()
                        .is_some_and(|name| file.defines(name))
                {
                    strayed.push(format!(
                        "{}: impl of {}",
                        shown(module),
                        block.of_type.join("::")
                    ));
                }
            }
        }
        strayed
    }
}

/// A path that begins with `super`, seen from the root.
fn above(module: &[String], path: &[String]) -> Option<Path> {
    let levels = path.iter().take_while(|name| *name == "super").count();
    let parent = module.len().checked_sub(levels)?;
    Some([&module[..parent], &path[levels..]].concat())
}

fn shown(module: &[String]) -> String {
    module.join("/")
}

/// Everything that is used from `start` on, in however many steps.
fn reached<'a>(uses: &'a Uses, start: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![start];
    while let Some(next) = open.pop() {
        let targets = uses.get(next).into_iter().flatten();
        open.extend(
            targets
                .filter(|name| reached.insert(name.as_str()))
                .map(String::as_str),
        );
    }
    reached
}

/// The members of circles, each with those it uses of the same circle.
fn circles(uses: &Uses) -> Vec<String> {
    let in_circle = |from: &str, to: &str| reached(uses, to).contains(from);
    uses.iter()
        .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)))
        .filter(|(from, to)| in_circle(from, to))
        .map(|(from, to)| format!("{from} uses {to}"))
        .collect()
}

#[test]
fn files_use_each_other_in_one_direction() {
    let circles = circles(&Tree::of_this_crate().uses());
    assert!(
        circles.is_empty(),
        "circles among the files:\n{}",
        circles.join("\n")
    );
}

#[test]
fn rooms_use_each_other_in_one_direction() {
    let circles = circles(&Tree::of_this_crate().uses_of_rooms());
    assert!(
        circles.is_empty(),
        "circles among the rooms:\n{}",
        circles.join("\n")
    );
}

/// `ffi` and `sys` apart, of which the map says that they stand on everything and on the system.
#[test]
fn rooms_stand_on_what_the_map_in_the_crates_documentation_says() {
    let uses = Tree::of_this_crate().uses_of_rooms();
    let mut rooms = 0;
    for row in include_str!("../../src/lib.rs").lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, room, _, stands_on, _] = cells[..] else {
            continue;
        };
        let room = room.trim_matches(&['[', '`', ']'][..]);
        if ["room", "---", "ffi", "sys"].contains(&room) {
            continue;
        }
        let said = stands_on
            .split(", ")
            .map(|name| name.trim_matches('`').to_owned());
        let said: BTreeSet<String> = said.filter(|name| !name.is_empty()).collect();
        assert_eq!(uses[room], said, "{room}");
        rooms += 1;
    }
    assert_eq!(
        rooms + 2,
        uses.len() - 1,
        "a room is missing, the root apart"
    );
}

#[test]
fn what_a_type_can_do_is_in_its_file() {
    let strayed = Tree::of_this_crate().strayed_impls();
    assert!(
        strayed.is_empty(),
        "away from their types:\n{}",
        strayed.join("\n")
    );
}

/// That the tests above read what there is.
#[test]
fn the_structure_is_seen() {
    let uses = Tree::of_this_crate().uses();
    for (from, to) in [
        ("relay", "relay/link"),
        ("relay/link", "relay/stream"),
        ("relay/stream", "stats"),
        ("relay/sink", "event"),
        ("ffi/link", "relay"),
        ("relay/source", "sys"),
        ("sys", "sys/descriptor"),
    ] {
        assert!(uses[from].contains(to), "{from} uses {to}: {uses:?}");
    }
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (place, source) in files {
        tree.add(place.split('/').map(str::to_owned).collect(), source);
    }
    tree
}

#[test]
fn a_circle_is_found_however_a_file_is_named() {
    for source in [
        "use crate::a::two::X;",
        "use super::two;",
        "use super::{three::{Y, Z}, two::{self, X as W}};",
        "fn f<'a>(x: &'a str) -> char { super::two::X; '\"' }",
        "use super::super::a; fn f() { a::two::f(); }",
        "use crate::a; fn f() { r#\"\"\"#; a::two::f(); }",
    ] {
        let tree = tree(&[
            ("lib", ""),
            ("a/mod", "pub mod one; pub mod two; pub mod three;"),
            ("a/one", source),
            ("a/two", "use super::three::Y;"),
            ("a/three", "use super::one::f;"),
        ]);
        let circles = circles(&tree.uses());
        assert!(
            circles.contains(&"a/one uses a/two".to_owned()),
            "{source}: {circles:?}"
        );
    }
}

#[test]
fn comments_texts_and_tests_use_nothing() {
    let tree = tree(&[
        (
            "one",
            "// use crate::two;\n/* crate::two::X */ fn f() { \"crate::two::X\"; '\\''; }",
        ),
        (
            "three",
            "use std::two::X; #[cfg(test)] mod tests { use crate::two::X; fn f() {} }",
        ),
        ("two", ""),
    ]);
    assert!(tree.uses().values().all(BTreeSet::is_empty));
}

#[test]
fn a_circle_of_rooms_is_one_even_where_no_files_form_it() {
    let tree = tree(&[
        ("a/one", "use crate::b::one::X;"),
        ("a/two", ""),
        ("b/one", ""),
        ("b/two", "use crate::a::two::X;"),
    ]);
    assert!(circles(&tree.uses()).is_empty());
    assert_eq!(circles(&tree.uses_of_rooms()), ["a uses b", "b uses a"]);
}

#[test]
fn methods_away_from_their_type_are_found() {
    let tree = tree(&[
        (
            "one",
            "pub struct Type<T>(T); pub trait Trait {} impl<T: Fn() -> u8> Type<T> {}",
        ),
        (
            "two",
            "use super::one::Type; impl<T> Type<T> where T: Copy {}",
        ),
        (
            "three",
            "impl From<std::io::Error> for super::one::Type<u8> {}",
        ),
        (
            "four",
            "struct Own; impl super::one::Trait for Own {} fn f() -> impl Fn() {}",
        ),
        (
            "five",
            "trait Here {} unsafe impl Here for super::one::Type<u8> {}",
        ),
    ]);
    assert_eq!(
        tree.strayed_impls(),
        ["three: impl of super::one::Type", "two: impl of Type"]
    );
}
