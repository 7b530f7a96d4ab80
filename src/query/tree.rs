//! All keys of one level against one data set: elements in one pass, sequences item by item (PS3.4 §C.2.2.2.6).

use filmroom_storage::model::{Element, Elements, Tag};

use filmroom_dataset::items;

use super::{
    QueryError, attribute,
    matching::Test,
    temporal::{Kind, Span, combine},
};

/// Deeper paths are refused before they come here: [`Tests::accept`] goes down once for each step.
pub(super) const DEPTH_MAX: usize = 8;

/// Keys on one data set, in ascending order of tag. All must match.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tests {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
struct Node {
    tag: Tag,
    kind: NodeKind,
}

#[derive(Debug, Clone, PartialEq)]
enum NodeKind {
    /// The attribute itself.
    Value(Test),
    /// Some item of the sequence matches all of these.
    Sequence(Tests),
    /// The attribute is a date; with the time of tag `time` it lies in the span (PS3.4 §C.2.2.2.5.4).
    Moment { time: Tag, span: Span },
}

impl Tests {
    /// True when there is no key.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`QueryError::Value`] when the path goes through what is no sequence.
    pub(super) fn add(&mut self, path: &[Tag], test: Test) -> Result<(), QueryError> {
        let Some((tag, outer)) = path.split_last() else {
            return Err(refused(path, "a key needs an attribute"));
        };
        self.within(outer, path)?.insert(Node {
            tag: *tag,
            kind: NodeKind::Value(test),
        });
        Ok(())
    }

    /// The tests of the items of a sequence, made where there are none; `path` is what is told when it cannot be.
    fn within(&mut self, sequences: &[Tag], path: &[Tag]) -> Result<&mut Self, QueryError> {
        let mut tests = self;
        for sequence in sequences {
            if !matches!(&attribute::vr_of(*sequence), b"SQ" | b"UN") {
                return Err(refused(path, "the path goes through an attribute that is no sequence"));
            }
            tests = tests
                .sequence(*sequence)
                .ok_or_else(|| refused(path, "the path cannot be followed"))?;
        }
        Ok(tests)
    }

    /// Adds a date and a time of the items of a sequence that are one range.
    ///
    /// # Errors
    /// [`QueryError::Value`] when the path goes through what is no sequence.
    pub(super) fn add_moment_within(
        &mut self,
        outer: &[Tag],
        date: Tag,
        time: Tag,
        span: Span,
    ) -> Result<(), QueryError> {
        self.within(outer, outer)?.add_moment(date, time, span);
        Ok(())
    }

    /// Adds a date and a time that are one range.
    pub(super) fn add_moment(&mut self, date: Tag, time: Tag, span: Span) {
        self.insert(Node {
            tag: date,
            kind: NodeKind::Moment { time, span },
        });
    }

    fn insert(&mut self, node: Node) {
        let place = self.nodes.partition_point(|other| other.tag <= node.tag);
        self.nodes.insert(place, node);
    }

    fn sequence(&mut self, tag: Tag) -> Option<&mut Self> {
        let found = self
            .nodes
            .iter()
            .position(|node| node.tag == tag && matches!(node.kind, NodeKind::Sequence(_)));
        let place = found.unwrap_or_else(|| {
            let place = self.nodes.partition_point(|other| other.tag <= tag);
            self.nodes.insert(
                place,
                Node {
                    tag,
                    kind: NodeKind::Sequence(Self::default()),
                },
            );
            place
        });
        match self.nodes.get_mut(place) {
            Some(Node {
                kind: NodeKind::Sequence(tests),
                ..
            }) => Some(tests),
            _ => None,
        }
    }

    /// Tries all keys on the elements of a data set or item in normal form.
    pub(super) fn accept(&self, elements: Elements<'_>) -> bool {
        let all = elements.clone();
        let mut elements = elements.peekable();
        self.nodes.iter().all(|node| {
            while elements.next_if(|element| element.tag < node.tag).is_some() {}
            let element = elements.peek().copied().filter(|element| element.tag == node.tag);
            match &node.kind {
                NodeKind::Value(test) => test.accepts(element),
                NodeKind::Sequence(tests) => tests.accept_items(element),
                NodeKind::Moment { time, span } => {
                    let time = all
                        .clone()
                        .take_while(|other| other.tag <= *time)
                        .find(|other| other.tag == *time);
                    is_within(element, time, *span)
                }
            }
        })
    }

    fn accept_items(&self, element: Option<Element<'_>>) -> bool {
        let value = element.map(|element| element.value).unwrap_or_default();
        let mut items = items(value).peekable();
        if items.peek().is_none() {
            return self.accept(Elements::new(&[]));
        }
        items.any(|item| self.accept(Elements::new(item)))
    }
}

fn refused(path: &[Tag], reason: &str) -> QueryError {
    QueryError::Value {
        keyword: attribute::path_name(path),
        reason: reason.to_owned(),
    }
}

fn is_within(date: Option<Element<'_>>, time: Option<Element<'_>>, span: Span) -> bool {
    let Some(date) = date.and_then(|date| Kind::Date.of_value(date.text())) else {
        return false;
    };
    let whole_day = Span { from: None, to: None };
    let time = time
        .and_then(|time| Kind::Time.of_value(time.text()))
        .unwrap_or(whole_day);
    span.meets(combine(date, time))
}
