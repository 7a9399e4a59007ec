//! Server-sent events, as they come: in pieces that end anywhere.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its data, lines joined by line feeds.
    pub data: String,
}

/// Puts events together from pieces of bytes. It keeps no more than was fed since the last event's end: whoever
/// feeds it bounds that.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    begun: bool,
}

impl Reader {
    /// Takes in a piece; gives the events that it completes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            let ends_pair = std::mem::take(&mut self.after_return) && byte == b'\n';
            match byte {
                b'\n' if ends_pair => {}
                b'\n' => events.extend(self.end_line()),
                b'\r' => {
                    self.after_return = true;
                    events.extend(self.end_line());
                }
                byte => self.line.push(byte),
            }
        }
        events
    }

    /// The stream has ended. Some servers leave out the empty line behind the last event, so what stands there
    /// is an event too; whether it is whole, its reader must see.
    pub fn end(&mut self) -> Option<Event> {
        let by_blank = (!self.line.is_empty()).then(|| self.end_line()).flatten();
        by_blank.or_else(|| self.end_line())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&line);
        if !std::mem::replace(&mut self.begun, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = rest.to_owned().into();
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment, an id, a time to wait: nothing that an answer is made of.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: a comment\r\nevent: one\r\ndata: {\"a\":1}\r\n\r\nid: 7\ndata:x\ndata: y\n\n\rdata: \u{1f600}\r\revent: empty\n\n";

    fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut reader = Reader::default();
        let mut events: Vec<Event> = pieces.iter().flat_map(|piece| reader.feed(piece)).collect();
        events.extend(reader.end());
        events
            .into_iter()
            .map(|event| (event.name, event.data))
            .collect()
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let whole = STREAM.as_bytes();
        let expected = [
            event("one", "{\"a\":1}"),
            event("", "x\ny"),
            event("", "\u{1f600}"),
        ];
        assert_eq!(events(&[whole]), expected);
        for i in 0..whole.len() {
            let (one, two) = whole.split_at(i);
            assert_eq!(events(&[one, two]), expected, "cut at {i}");
        }
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(events(&single), expected);
    }

    #[test]
    fn the_last_event_needs_no_empty_line() {
        for text in ["data: [DONE]", "data: [DONE]\n", "data: [DONE]\r\n\r\n"] {
            assert_eq!(
                events(&[text.as_bytes()]),
                [event("", "[DONE]")],
                "{text:?}"
            );
        }
        assert_eq!(events(&[b": only a comment\n"]), []);
    }
}
