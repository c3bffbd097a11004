//! A JSON value that knows its pointer, and the collecting of what is wrong with it.
//!
//! Members of a wrong type read as absent: the schema has reported them already.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::specification::fault::FaultList;
use crate::specification::position;

/// A value and the way to it. The pointer is only put together when there is a fault to report.
#[derive(Clone, Copy)]
pub(crate) struct Node<'p> {
    /// The value.
    pub(crate) value: &'p Value,
    parent: Option<&'p Node<'p>>,
    token: Token<'p>,
}

#[derive(Clone, Copy)]
enum Token<'p> {
    Name(&'p str),
    Index(usize),
}

impl<'p> Node<'p> {
    /// The whole document.
    pub(crate) fn root(value: &'p Value) -> Node<'p> {
        Node { value, parent: None, token: Token::Index(0) }
    }

    /// The member `name`; absent too if it is null.
    pub(crate) fn member(&'p self, name: &'p str) -> Option<Node<'p>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Node { value, parent: Some(self), token: Token::Name(name) })
    }

    /// The elements of an array.
    pub(crate) fn items(&'p self) -> impl Iterator<Item = Node<'p>> {
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().enumerate().map(|(index, value)| Node { value, parent: Some(self), token: Token::Index(index) })
    }

    /// The string in member `name`.
    pub(crate) fn text(&self, name: &str) -> Option<&'p str> {
        self.value.get(name)?.as_str()
    }

    /// The boolean in member `name`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.value.get(name)?.as_bool()
    }

    /// The JSON pointer.
    pub(crate) fn pointer(&self) -> String {
        let Some(parent) = self.parent else { return String::new() };
        let mut pointer = parent.pointer();
        match self.token {
            Token::Name(name) => position::push_token(&mut pointer, name),
            Token::Index(index) => position::push_token(&mut pointer, &index.to_string()),
        }
        pointer
    }
}

/// What a member turned out to be wrong with, before it is known where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Which member of the object.
    pub(crate) member: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// A problem of `member`.
    pub(crate) fn new(member: &'static str, message: impl Into<String>, hint: Option<String>) -> Problem {
        Problem { member, message: message.into(), hint }
    }
}

/// The faults so far: those of the schema, to which those of the meaning are added.
pub(crate) struct Findings {
    list: FaultList,
    already_faulty: BTreeSet<String>,
}

impl Findings {
    /// Goes on from what reader and schema have found.
    pub(crate) fn new(list: FaultList) -> Findings {
        let already_faulty = list.pointers();
        Findings { list, already_faulty }
    }

    /// Adds a fault, unless the schema has said already what is wrong there.
    pub(crate) fn fault(&mut self, node: &Node<'_>, message: impl Into<String>, hint: Option<String>) {
        let pointer = node.pointer();
        if !self.already_faulty.contains(&pointer) {
            self.list.push(&pointer, message, hint);
        }
    }

    /// Adds a fault of one member of `node`.
    pub(crate) fn problem(&mut self, node: &Node<'_>, problem: Problem) {
        match node.member(problem.member) {
            Some(member) => self.fault(&member, problem.message, problem.hint),
            None => self.fault(node, problem.message, problem.hint),
        }
    }

    /// The list of all.
    pub(crate) fn into_list(self) -> FaultList {
        self.list
    }
}
