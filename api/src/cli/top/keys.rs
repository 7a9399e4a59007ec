//! The keys that leave the board.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

/// Waits for a while; whether someone asked to leave meanwhile.
pub(super) async fn asked_to_leave(wait: Duration) -> anyhow::Result<bool> {
    let waited = tokio::task::spawn_blocking(move || {
        let leaves_now = event::poll(wait)? && leaves(&event::read()?);
        Ok::<_, std::io::Error>(leaves_now)
    });
    Ok(waited.await??)
}

/// Whether this asks to leave: q, Escape or Ctrl-C.
fn leaves(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    // What is let go was pressed before.
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('q') => !is_control,
            KeyCode::Esc => true,
            KeyCode::Char('c') => is_control,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn q_escape_and_ctrl_c_leave_and_nothing_else_does() {
        let plain = KeyModifiers::NONE;
        for (code, modifiers, out) in [
            (KeyCode::Char('q'), plain, true),
            (KeyCode::Esc, plain, true),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, true),
            (KeyCode::Char('c'), plain, false),
            (KeyCode::Char('q'), KeyModifiers::CONTROL, false),
            (KeyCode::Char('x'), plain, false),
            (KeyCode::Enter, plain, false),
        ] {
            let pressed = KeyEvent::new(code, modifiers);
            assert_eq!(leaves(&Event::Key(pressed)), out, "{pressed:?}");
            let released = KeyEvent {
                kind: KeyEventKind::Release,
                ..pressed
            };
            assert!(!leaves(&Event::Key(released)), "{released:?}");
        }
        assert!(!leaves(&Event::Resize(80, 24)));
        assert!(!leaves(&Event::FocusLost));
    }
}
