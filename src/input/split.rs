//! Divides a JSON array (or objects over several lines) into its elements while it is read. It knows strings, escapes
//! and depth, and nothing else: whether an element is sound is for its reader to say.

use std::io::{self, BufRead};

use super::{Record, RecordKind};

#[derive(Debug)]
pub(super) struct Splitter {
    max: usize,
    line: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside of any array.
    Outside,
    /// In the array, between elements.
    Between,
    /// In an element.
    Inside,
    /// The file is read.
    Done,
}

/// How far one element is.
struct Element {
    line: u64,
    bytes: u64,
    /// It began with a bracket.
    container: bool,
    depth: u64,
    string: bool,
    escaped: bool,
}

impl Splitter {
    pub(super) fn new(max: usize) -> Self {
        Self { max, line: 1, state: State::Outside }
    }

    /// Whether the file ended inside an array or an element.
    pub(super) fn unfinished(&self) -> bool {
        matches!(self.state, State::Between | State::Inside)
    }

    /// The next element of the array (or of the arrays, where there are several one after another).
    pub(super) fn next_element(&mut self, reader: &mut impl BufRead, buf: &mut Vec<u8>) -> io::Result<Option<Record>> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Outside => match self.peek(reader)? {
                    None => self.state = State::Done,
                    Some(b'[') => {
                        reader.consume(1);
                        self.state = State::Between;
                    }
                    Some(_) => return self.scan(reader, buf, State::Outside, ends_outside).map(Some),
                },
                State::Between => match self.peek(reader)? {
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Some(b',') => reader.consume(1),
                    Some(b']') => {
                        reader.consume(1);
                        self.state = State::Outside;
                    }
                    Some(_) => {
                        return self
                            .scan(reader, buf, State::Between, |element, byte| {
                                element.depth == 0 && matches!(byte, b',' | b']')
                            })
                            .map(Some);
                    }
                },
                State::Inside => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The next object of a sequence without commas.
    pub(super) fn next_value(&mut self, reader: &mut impl BufRead, buf: &mut Vec<u8>) -> io::Result<Option<Record>> {
        if self.peek(reader)?.is_none() {
            self.state = State::Done;
            return Ok(None);
        }
        self.scan(reader, buf, State::Outside, ends_outside).map(Some)
    }

    /// The next byte that is no white space, not consumed.
    fn peek(&mut self, reader: &mut impl BufRead) -> io::Result<Option<u8>> {
        loop {
            let chunk = fill(reader)?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let blank = chunk.iter().take_while(|b| b.is_ascii_whitespace()).count();
            self.line += newlines(&chunk[..blank]);
            let found = chunk.get(blank).copied();
            reader.consume(blank);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads an element up to where `ends` says so (asked before each byte but the first, outside of strings; the byte
    /// asked about stays). A value outside of an array also ends with its line where it is no object.
    fn scan(
        &mut self,
        reader: &mut impl BufRead,
        buf: &mut Vec<u8>,
        after: State,
        ends: impl Fn(&Element, u8) -> bool,
    ) -> io::Result<Record> {
        let mut element =
            Element { line: self.line, bytes: 0, container: false, depth: 0, string: false, escaped: false };
        self.state = State::Inside;
        loop {
            let chunk = fill(reader)?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut used = 0;
            let mut ended = false;
            for &byte in chunk {
                let first = element.bytes == 0 && used == 0;
                if !element.string && !first && ends(&element, byte) {
                    ended = true;
                    break;
                }
                if first {
                    element.container = matches!(byte, b'{' | b'[');
                }
                used += 1;
                element.step(byte);
            }
            let taken = &chunk[..used];
            element.bytes += used as u64;
            self.line += newlines(taken);
            buf.extend_from_slice(&taken[..used.min(self.max.saturating_sub(buf.len()))]);
            reader.consume(used);
            let complete = after == State::Outside && element.depth == 0 && !element.string;
            let over = ended || (complete && fill(reader)?.is_empty());
            if over {
                self.state = after;
                let bytes = element.bytes;
                let kind = if bytes > self.max as u64 { RecordKind::TooLong { bytes } } else { RecordKind::Whole };
                return Ok(Record { line: element.line, kind });
            }
        }
    }
}

/// Outside of an array an object ends with its bracket, and anything else with its line.
fn ends_outside(element: &Element, byte: u8) -> bool {
    if element.container { element.depth == 0 } else { byte == b'\n' }
}

impl Element {
    fn step(&mut self, byte: u8) {
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|b| u64::from(*b == b'\n')).sum()
}

fn fill(reader: &mut impl BufRead) -> io::Result<&[u8]> {
    // `fill_buf` hands `Interrupted` up; asked in two steps for the borrow checker's sake.
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    reader.fill_buf()
}
