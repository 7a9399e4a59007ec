//! What is wrong with files is told where it stands.

use tests::{TestDb, on_both};

use crate::files::{GREETING, HELPDESK, PRINTERS, applied, apply, folder, refused, start};

on_both! {
    /// Whether a reader of YAML finds it, a reader of coworkers, or the workspace: file, line and column, on either database.
    async fn what_is_wrong_with_files_is_told_with_file_line_and_column(backend: Backend) {
        let db = TestDb::new(backend).await;
        let dir = folder(&[
            ("a.yaml", &HELPDESK.replace("  scope:", "  scoop:")),
            ("b.yaml", &PRINTERS.replace("setStatus: PENDING", "setStatus: MAYBE")),
            ("c.yaml", &GREETING.replace("kind: skill", "kind: tool")),
        ]);
        let done = apply(&db, dir.path(), &["--yes"]);
        let told = refused(&done);
        let lines: Vec<&str> = told.lines().collect();
        let at = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(lines.len(), 4, "{told}");
        assert_eq!(lines[0], "3 problems in the files; nothing was changed");
        assert!(lines[1].starts_with(&format!("{}:7:3: unknown key `scoop`", at("a.yaml"))), "{told}");
        assert!(lines[2].starts_with(&format!("{}:13:33: unknown word `MAYBE`", at("b.yaml"))), "{told}");
        assert!(lines[3].starts_with(&format!("{}:1:7: there is no kind \"tool\"", at("c.yaml"))), "{told}");
    }

    /// What only the workspace can know: a skill that the library has not, and whom nobody can route to.
    async fn what_the_workspace_refuses_is_told_at_its_place(backend: Backend) {
        let (db, _server, _client) = start(backend).await;
        let dir = folder(&[("helpdesk.yaml", HELPDESK), ("printers.yaml", PRINTERS), ("greeting.yaml", GREETING)]);
        applied(&db, dir.path());
        let other = PRINTERS.replace("routeTo: helpdesk", "routeTo: nobody-at-all");
        let dir = folder(&[("printers.yaml", &other)]);
        let told = apply(&db, dir.path(), &["--yes"]);
        let told = refused(&told);
        let line = 1 + other.lines().position(|line| line.contains("nobody-at-all")).expect("a line");
        let place = format!("{}:{line}:", dir.path().join("printers.yaml").display());
        assert!(told.contains(&place) && told.contains("nobody-at-all"), "{place} {told}");
    }
}
