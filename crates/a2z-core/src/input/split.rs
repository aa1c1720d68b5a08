//! Divides a JSON array (or objects over several lines, or several on one line) into its elements while it is read. It
//! knows strings, escapes and depth, and nothing else: whether an element is sound is for its reader to say. Commas
//! between elements mean nothing.

use std::io::{self, BufRead};

use super::{
    envelope::Envelope,
    record::{Record, RecordKind},
};

#[derive(Debug)]
pub(super) struct Splitter {
    max: usize,
    line: u64,
    state: State,
    /// The object around the list that is being read.
    envelope: Option<Envelope>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside of any array.
    Outside,
    /// In the array, between elements.
    Between,
    /// In an element.
    Inside,
    /// In the object around a list, and not in the list.
    Around,
    /// The file is read.
    Done,
}

/// How far one element is.
#[derive(Default)]
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
    /// Begins on a line.
    pub(super) fn new(max: usize, line: u64) -> Self {
        Self { max, line, state: State::Outside, envelope: None }
    }

    /// Whether the file ended inside an array or an element.
    pub(super) fn unfinished(&self) -> bool {
        matches!(self.state, State::Between | State::Inside | State::Around)
    }

    /// The line that is being read.
    pub(super) fn line(&self) -> u64 {
        self.line
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
                State::Inside | State::Around => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The next element of the lists that stand in objects: `{"users":[…]}`, perhaps several one after another. An object
    /// without a list is an element itself.
    pub(super) fn next_wrapped(&mut self, reader: &mut impl BufRead, buf: &mut Vec<u8>) -> io::Result<Option<Record>> {
        loop {
            match self.state {
                State::Outside => match self.peek_past_commas(reader)? {
                    None => self.state = State::Done,
                    Some(b'{') => {
                        self.envelope = Some(Envelope::at(self.line));
                        self.state = State::Around;
                    }
                    Some(_) => return self.scan(reader, buf, State::Outside, ends_outside).map(Some),
                },
                State::Around => {
                    if let Some(row) = self.walk(reader, buf)? {
                        return Ok(Some(row));
                    }
                }
                State::Between => {
                    if self.peek_past_commas(reader)? != Some(b']') {
                        return self.next_element(reader, buf);
                    }
                    reader.consume(1);
                    self.state = State::Around;
                }
                State::Inside | State::Done => return self.next_element(reader, buf),
            }
        }
    }

    /// Goes on in the object around a list, up to the list or its own end.
    fn walk(&mut self, reader: &mut impl BufRead, buf: &mut Vec<u8>) -> io::Result<Option<Record>> {
        loop {
            let Some(envelope) = &mut self.envelope else {
                self.state = State::Outside;
                return Ok(None);
            };
            let chunk = fill(reader)?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let walked = envelope.walk(chunk);
            if !envelope.has_list() {
                buf.extend_from_slice(&chunk[..walked.min(self.max.saturating_sub(buf.len()))]);
            }
            self.line += newlines(&chunk[..walked]);
            reader.consume(walked);
            if envelope.in_list() {
                buf.clear();
                self.state = State::Between;
                return Ok(None);
            }
            if envelope.is_over() {
                let (has_list, line, bytes) = (envelope.has_list(), envelope.line, envelope.bytes);
                self.envelope = None;
                self.state = State::Outside;
                return Ok((!has_list).then(|| Record { line, kind: self.kind(bytes) }));
            }
        }
    }

    /// The next object of a sequence, over several lines or not.
    pub(super) fn next_value(&mut self, reader: &mut impl BufRead, buf: &mut Vec<u8>) -> io::Result<Option<Record>> {
        self.next_of_sequence(reader, buf, ends_outside)
    }

    /// The next of several objects on a line; none goes on to the next line.
    pub(super) fn next_packed(&mut self, reader: &mut impl BufRead, buf: &mut Vec<u8>) -> io::Result<Option<Record>> {
        self.next_of_sequence(reader, buf, ends_on_its_line)
    }

    fn next_of_sequence(
        &mut self,
        reader: &mut impl BufRead,
        buf: &mut Vec<u8>,
        ends: impl Fn(&Element, u8) -> bool,
    ) -> io::Result<Option<Record>> {
        if self.peek_past_commas(reader)?.is_none() {
            self.state = State::Done;
            return Ok(None);
        }
        self.scan(reader, buf, State::Outside, ends).map(Some)
    }

    fn kind(&self, bytes: u64) -> RecordKind {
        if bytes > self.max as u64 { RecordKind::TooLong { bytes } } else { RecordKind::Whole }
    }

    /// The next byte that is neither white space nor a comma (nor of a byte-order mark), not consumed.
    fn peek_past_commas(&mut self, reader: &mut impl BufRead) -> io::Result<Option<u8>> {
        loop {
            match self.peek(reader)? {
                Some(b',' | 0xef | 0xbb | 0xbf) => reader.consume(1),
                found => return Ok(found),
            }
        }
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

    /// Reads an element up to where `ends` says so (asked before each byte but the first, in strings only before a line
    /// end; the byte asked about stays). A value outside of an array also ends with its line where it is no object.
    fn scan(
        &mut self,
        reader: &mut impl BufRead,
        buf: &mut Vec<u8>,
        after: State,
        ends: impl Fn(&Element, u8) -> bool,
    ) -> io::Result<Record> {
        let mut element = Element { line: self.line, ..Element::default() };
        self.state = State::Inside;
        loop {
            let chunk = fill(reader)?;
            if chunk.is_empty() {
                if ends(&element, b'\n') {
                    self.state = after;
                    return Ok(Record { line: element.line, kind: self.kind(element.bytes) });
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut used = 0;
            let mut ended = false;
            for &byte in chunk {
                let first = element.bytes == 0 && used == 0;
                if !first && (!element.string || byte == b'\n') && ends(&element, byte) {
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
                return Ok(Record { line: element.line, kind: self.kind(element.bytes) });
            }
        }
    }
}

/// Outside of an array an object ends with its bracket, and anything else with its line.
fn ends_outside(element: &Element, byte: u8) -> bool {
    if element.container { element.depth == 0 } else { byte == b'\n' }
}

/// The same, and an object that is not whole on its line ends there, too: it is damaged, and the next one is not.
fn ends_on_its_line(element: &Element, byte: u8) -> bool {
    byte == b'\n' || (element.container && element.depth == 0)
}

/// Does another object follow the first one of this line?
pub(super) fn holds_several(line: &[u8]) -> bool {
    let start = line.trim_ascii_start();
    if start.first() != Some(&b'{') {
        return false;
    }
    let mut element = Element::default();
    let end = start.iter().position(|byte| {
        element.step(*byte);
        element.depth == 0 && !element.string
    });
    let rest = end.and_then(|end| start.get(end + 1..)).unwrap_or_default();
    rest.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != b',') == Some(&b'{')
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
