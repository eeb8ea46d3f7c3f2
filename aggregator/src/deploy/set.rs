//! Arguments of `--set`, read as helm reads them: paths with indexes, lists in braces, and texts that are numbers or truths.
//! Only for what is shown: what is deployed, helm reads itself. Pure.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value};

/// helm refuses indexes above this one.
const MAX_INDEX: usize = 65536;

/// One step on the way to a value.
#[derive(Debug, PartialEq)]
enum Part {
    Key(String),
    Index(usize),
}

/// Lays what an argument such as `a.b=1,c[0]=x,d={y,z}` sets over values.
///
/// # Errors
/// A line that says what is wrong with it.
pub fn lay(values: &mut Value, argument: &str) -> Result<(), String> {
    let mut rest = argument.chars().peekable();
    while rest.peek().is_some() {
        let path = path(&mut rest)?;
        let value = if rest.next_if_eq(&'{').is_some() {
            list(&mut rest)?
        } else {
            typed(text(&mut rest, &[',']))
        };
        rest.next_if_eq(&',');
        put(values, &path, value);
    }
    Ok(())
}

/// What is before `=`.
fn path(rest: &mut Peekable<Chars<'_>>) -> Result<Vec<Part>, String> {
    let mut path = Vec::new();
    loop {
        let key = text(rest, &['.', '[', '=', ',']);
        if !key.is_empty() {
            path.push(Part::Key(key.clone()));
        }
        match rest.next() {
            Some('.') => {}
            Some('[') => path.push(Part::Index(index(rest)?)),
            Some('=') if !path.is_empty() => return Ok(path),
            Some('=') => return Err("'=' has no path before it".to_owned()),
            _ => return Err(format!("'{key}' has no value")),
        }
    }
}

fn index(rest: &mut Peekable<Chars<'_>>) -> Result<usize, String> {
    let digits = text(rest, &[']']);
    let index = digits.parse().ok().filter(|index| *index <= MAX_INDEX);
    match (rest.next(), index) {
        (Some(']'), Some(index)) => Ok(index),
        _ => Err(format!("'[{digits}' is no index")),
    }
}

/// What is before `}`.
fn list(rest: &mut Peekable<Chars<'_>>) -> Result<Value, String> {
    let mut items = Vec::new();
    loop {
        items.push(typed(text(rest, &[',', '}'])));
        match rest.next() {
            Some(',') => {}
            Some(_) => return Ok(Value::Array(items)),
            None => return Err("'{' is not closed".to_owned()),
        }
    }
}

/// The text before one of these, which a backslash makes part of it.
fn text(rest: &mut Peekable<Chars<'_>>, ends: &[char]) -> String {
    let mut text = String::new();
    while let Some(char) = rest.next_if(|char| !ends.contains(char)) {
        match char {
            '\\' => text.extend(rest.next()),
            char => text.push(char),
        }
    }
    text
}

fn typed(text: String) -> Value {
    match &*text {
        "true" => true.into(),
        "false" => false.into(),
        "null" => Value::Null,
        "0" => 0.into(),
        // A zero in front makes it a text, as in a telephone number.
        number if !number.starts_with('0') => match number.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => text.into(),
        },
        _ => text.into(),
    }
}

fn put(values: &mut Value, path: &[Part], value: Value) {
    match path {
        [] => *values = value,
        [Part::Key(key), rest @ ..] => {
            if !values.is_object() {
                *values = Value::Object(Map::new());
            }
            let map = values.as_object_mut().expect("it was made one");
            if rest.is_empty() && value.is_null() {
                map.remove(key);
            } else {
                put(map.entry(key).or_insert(Value::Null), rest, value);
            }
        }
        [Part::Index(index), rest @ ..] => {
            if !values.is_array() {
                *values = Value::Array(Vec::new());
            }
            let list = values.as_array_mut().expect("it was made one");
            if list.len() <= *index {
                list.resize(index + 1, Value::Null);
            }
            put(&mut list[*index], rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What helm 3.17 and 4 make of the same arguments after a file with the same values.
    #[test]
    fn it_is_read_as_helm_reads_it() {
        let check = |argument: &str, expected: Value| {
            let mut values = json!({ "a": { "b": 1 }, "l": ["x", "y"] });
            lay(&mut values, argument).unwrap();
            assert_eq!(values, expected, "{argument}");
        };
        let with_a = |a: Value| json!({ "a": a, "l": ["x", "y"] });
        check("a.b=2", with_a(json!({ "b": 2 })));
        check("a.b=c,a.d=true", with_a(json!({ "b": "c", "d": true })));
        check("a.b=null", with_a(json!({})));
        check("a=0", with_a(json!(0)));
        check("a=", with_a(json!("")));
        check("a=007", with_a(json!("007")));
        check("a=1.5", with_a(json!("1.5")));
        check("a=x=y", with_a(json!("x=y")));
        check("a={1,b,}", with_a(json!([1, "b", ""])));
        check("a={}", with_a(json!([""])));
        check(r"a=x\,y", with_a(json!("x,y")));
        check(r"a.x\.y/z=1", with_a(json!({ "b": 1, "x.y/z": 1 })));
        check(
            "l[1]=z,l[3].k=1",
            json!({ "a": { "b": 1 }, "l": ["x", "z", null, { "k": 1 }] }),
        );
        check("", with_a(json!({ "b": 1 })));
    }

    #[test]
    fn what_is_none_is_refused() {
        let check = |argument: &str, expected: &str| {
            assert_eq!(lay(&mut json!({}), argument).unwrap_err(), expected);
        };
        check("a", "'a' has no value");
        check("a.b,c=1", "'b' has no value");
        check("=1", "'=' has no path before it");
        check("a[x]=1", "'[x' is no index");
        check("a[70000]=1", "'[70000' is no index");
        check("a={1,2", "'{' is not closed");
    }
}
