//! Names in a dictionary: `DET CHIPi NX` is every `DET CHIP1 NX`, `DET CHIP12 NX` and so on.

/// Optional parts of one name, such as `INS(#)`: each doubles the number of its forms.
const OPTIONAL_MAX: usize = 4;

/// The name of a parameter, with its places for numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dictionary) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// One or more digits.
    Number,
}

impl Template {
    /// Reads a name: words separated by spaces or points, a lower-case letter or `#` for a number, `(#)` for one that
    /// may be left out. `HIERARCH` and `ESO` before it are taken away. Gives every form, none if the name is not legal.
    pub(in crate::dictionary) fn parse(name: &str) -> Vec<Template> {
        let words: Vec<&str> = name.split(|c: char| c.is_whitespace() || c == '.').filter(|w| !w.is_empty()).collect();
        let logical = match words.as_slice() {
            ["HIERARCH", "ESO", rest @ ..] | ["HIERARCH" | "ESO", rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        forms(&logical.join(" ")).iter().filter_map(|form| Template::of_form(form)).collect()
    }

    fn of_form(form: &str) -> Option<Template> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut after_number = false;
        for character in form.chars() {
            match character {
                'A'..='Z' | '0'..='9' | '-' | '_' | ' ' => text.push(character),
                // Two in a row are a word in lower case, not two numbers.
                'a'..='z' | '#' if !after_number || !text.is_empty() => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Number);
                }
                _ => return None,
            }
            after_number = matches!(pieces.last(), Some(Piece::Number));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        if matches!(pieces.first(), Some(Piece::Text(_))) { Some(Template(pieces)) } else { None }
    }

    /// What the template has in common with every name that it stands for: see [`key`].
    pub(in crate::dictionary) fn key(&self) -> String {
        key(&self.text())
    }

    /// The name with `#` where a number stands.
    pub(in crate::dictionary) fn text(&self) -> String {
        self.0.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "#" }).collect()
    }

    /// Whether it stands for one name only.
    pub(in crate::dictionary) fn is_exact(&self) -> bool {
        !self.0.contains(&Piece::Number)
    }

    /// Whether `name` is one of those that it stands for.
    pub(in crate::dictionary) fn matches(&self, name: &str) -> bool {
        let mut rest = name;
        for piece in &self.0 {
            let after = match piece {
                Piece::Text(text) => rest.strip_prefix(text.as_str()),
                Piece::Number => {
                    Some(rest.trim_start_matches(|c: char| c.is_ascii_digit())).filter(|after| after.len() < rest.len())
                }
            };
            let Some(after) = after else { return false };
            rest = after;
        }
        rest.is_empty()
    }
}

/// `name` with `#` in place of each run of digits (and of `#`): names of one template have one key.
pub(in crate::dictionary) fn key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for character in name.chars() {
        let is_number = character.is_ascii_digit() || character == '#';
        if !(is_number && key.ends_with('#')) {
            key.push(if is_number { '#' } else { character });
        }
    }
    key
}

/// The name with and without each of its optional numbers; nothing if there are too many.
fn forms(name: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split("(#)").collect();
    let optional = parts.len() - 1;
    if optional > OPTIONAL_MAX {
        return Vec::new();
    }
    let form = |chosen: usize| {
        let mut text = String::new();
        for (index, part) in parts.iter().enumerate() {
            text.push_str(part);
            if index < optional && chosen & (1 << index) != 0 {
                text.push('#');
            }
        }
        text
    };
    (0..1 << optional).map(form).collect()
}

#[cfg(test)]
mod tests {
    use crate::dictionary::template::{Template, key};

    fn check(template: &str, yes: &[&str], no: &[&str]) {
        let forms = Template::parse(template);
        for name in yes {
            assert!(forms.iter().any(|form| form.matches(name) && form.key() == key(name)), "{template}: {name}");
        }
        for name in no {
            assert!(!forms.iter().any(|form| form.matches(name)), "{template}: {name}");
        }
    }

    #[test]
    fn numbers_stand_where_the_name_has_room_for_them() {
        check("TPL ID", &["TPL ID"], &["TPL IDX", "TPL ID1", "TPL", ""]);
        check("DET CHIPi NX", &["DET CHIP1 NX", "DET CHIP12 NX"], &["DET CHIP NX", "DET CHIPA NX", "DET CHIP1 NXA"]);
        check("CRVALi", &["CRVAL1", "CRVAL99"], &["CRVAL", "CRVAL1A"]);
        check("INS(#) FILT# ID", &["INS FILT1 ID", "INS2 FILT13 ID"], &["INS FILT ID", "INSA FILT1 ID"]);
        check("PRO TEL DIS X_i_j", &["PRO TEL DIS X_0_11"], &["PRO TEL DIS X_0", "PRO TEL DIS X_i_j"]);
        check("QC RESOLUTION3 CELLi", &["QC RESOLUTION3 CELL2"], &["QC RESOLUTION2 CELL2"]);
        check("QC OUT1i", &["QC OUT12"], &["QC OUT1", "QC OUT2"]);
        check("HIERARCH ESO INS.TEMPi.VAL", &["INS TEMP7 VAL"], &["ESO INS TEMP7 VAL"]);
        check("  ESO  GEN\tMOON PHASE ", &["GEN MOON PHASE"], &[]);
    }

    #[test]
    fn what_is_no_name_has_no_form() {
        for name in ["", "   ", "i", "some words", "A*", "A/B", "É", "A(#)B(#)C(#)D(#)E(#)"] {
            assert_eq!(Template::parse(name), [], "{name}");
        }
        assert_eq!(Template::parse("A(#)B(#)").len(), 4);
        assert!(Template::parse("A B").iter().all(Template::is_exact));
        assert!(!Template::parse("A Bi").iter().any(Template::is_exact));
    }
}
