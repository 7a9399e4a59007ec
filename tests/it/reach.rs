//! Tool servers as files: how they are reached is told in YAML, and secrets stand in none.

use serde_json::{Value, json};
use tests::binary::run;
use tests::{Client, on_both};

use crate::files::{applied, apply, folder, put, refused, start};

const DESK: &str = "\
kind: tool-server
name: desk
reach:
  type: HTTP
  headers:
    - { name: Authorization, value: 'Bearer {{secret:desk}}' }
  tools:
    - name: look
      description: Looks at a desk.
      url: https://desk.example.com/desks/{desk}
      query: [wide]
      parameters: { type: object, properties: { desk: { type: string }, wide: { type: boolean } }, required: [desk] }
      effect: READ
    - name: reset
      description: Resets a desk.
      method: POST
      url: https://desk.example.com/resets
      destructive: true
      maxResponseBytes: 2000
";

const WIKI: &str = "kind: tool-server\nname: wiki\nreach: { type: MCP_HTTP, url: 'https://wiki.example.com/mcp', headers: [{ name: X-Team, value: it }] }\n";

const NOTES: &str = "kind: tool-server\nname: notes\nreach: { type: MCP_STDIO, command: notes }\n";

/// All that files say of tool servers, as the API tells it.
async fn servers(client: &Client) -> Value {
    let query = "{ toolServers(first: 50) { nodes { name kind command url version headers { name value }
                     tools { name description method url query parameters effect destructive maxResponseBytes }
                     actions { name state effect destructive } } } }";
    client.gql(query, json!({})).await["toolServers"]["nodes"].take()
}

on_both! {
    async fn files_make_tool_servers_and_what_is_exported_makes_them_again(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        let dir = folder(&[("desk.yaml", DESK), ("wiki.yaml", WIKI), ("notes.yaml", NOTES)]);
        let shown = applied(&db, dir.path());
        for line in ["tool server desk: create", "tool server notes: create", "tool server wiki: create", "+ name: desk\n",
                     "Applied: 3 to create, 0 to change, 0 as the files say.\n"] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        let made = servers(&client).await;
        let names: Vec<_> = made.as_array().unwrap().iter().map(|one| format!("{} {}", one["name"], one["kind"])).collect();
        assert_eq!(names, ["\"desk\" \"HTTP\"", "\"notes\" \"MCP_STDIO\"", "\"wiki\" \"MCP_HTTP\""]);
        assert_eq!(made[0]["headers"], json!([{ "name": "Authorization", "value": "Bearer {{secret:desk}}" }]));
        let actions: Vec<_> = made[0]["actions"].as_array().unwrap().iter().map(|one| format!("{} {} {}", one["name"], one["effect"], one["destructive"])).collect();
        assert_eq!(actions, ["\"look\" \"READ\" false", "\"reset\" \"EFFECT\" true"]);
        // A second time there is nothing to change.
        assert_eq!(applied(&db, dir.path()), "Nothing to change: 3 objects as the files say.\n");
        assert_eq!(servers(&client).await, made);

        // There and back, and into another workspace.
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("here");
        let args = ["export", "-o", &path.display().to_string(), "--database-url", db.url()];
        let exported = run(&args);
        assert!(exported.status.success(), "{}", exported.stderr);
        let text = std::fs::read_to_string(path.join("tool-servers/desk.yaml")).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../stint.schema.json\nkind: tool-server\nname: desk\n"), "{text}");
        assert!(text.contains("{{secret:desk}}"), "{text}");
        assert_eq!(applied(&db, &path), "Nothing to change: 3 objects as the files say.\n");
        let (other_db, _other_server, other) = start(backend).await;
        applied(&other_db, &path);
        assert_eq!(servers(&other).await, made);

        // What differs is shown and changed, and nothing else.
        put(dir.path(), "desk.yaml", &DESK.replace("Resets a desk.", "Resets it."));
        let shown = applied(&db, dir.path());
        assert!(shown.contains("tool server desk: change") && !shown.contains("wiki"), "{shown}");
        assert!(shown.contains("-     description: Resets a desk.\n+     description: Resets it.\n"), "{shown}");
        let changed = servers(&client).await;
        assert_eq!((&changed[0]["tools"][1]["description"], &changed[0]["version"]), (&json!("Resets it."), &json!(2)));
        assert_eq!((&changed[1], &changed[2]), (&made[1], &made[2]));
    }

    async fn what_is_wrong_with_a_tool_servers_file_is_told_with_its_place(backend: Backend) {
        let (db, _server, client) = start(backend).await;
        let dir = folder(&[
            ("a.yaml", &DESK.replace("      effect: READ", "      effect: MAYBE")),
            ("b.yaml", &WIKI.replace("url:", "uri:")),
            ("c.yaml", &NOTES.replace("MCP_STDIO", "MCP_SMOKE")),
            ("d.yaml", &DESK.replace("name: desk\n", "name: d\n").replace("https://desk.example.com/resets", "desk.example.com")),
        ]);
        let done = apply(&db, dir.path(), &["--yes"]);
        let told = refused(&done);
        assert!(told.starts_with("4 problems in the files; nothing was changed\n"), "{told}");
        for (file, place, what) in PLACES {
            let at = format!("{}:{place}: ", dir.path().join(file).display());
            assert!(told.lines().any(|line| line.starts_with(&at) && line.contains(what)), "{at}{what}: {told}");
        }
        assert_eq!(servers(&client).await, json!([]));
        // What it is stays: that is found only beside the one that there is.
        let dir = folder(&[("desk.yaml", DESK)]);
        applied(&db, dir.path());
        put(dir.path(), "desk.yaml", &WIKI.replace("name: wiki", "name: desk"));
        let done = apply(&db, dir.path(), &["--yes"]);
        let told = format!("{}:3:10: the tool server desk is of the kind HTTP, and stays it", dir.path().join("desk.yaml").display());
        assert!(refused(&done).contains(&told), "{done:?}");
        assert_eq!(servers(&client).await[0]["kind"], "HTTP");
    }
}

/// Where the faults are, and what is said of them.
const PLACES: [(&str, &str, &str); 4] = [
    ("a.yaml", "13:15", "unknown word `MAYBE`"),
    ("b.yaml", "3:26", "unknown key `uri`"),
    ("c.yaml", "3:16", "unknown word `MCP_SMOKE`"),
    ("d.yaml", "17:7", "desk.example.com"),
];
