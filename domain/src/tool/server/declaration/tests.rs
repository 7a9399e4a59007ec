use super::*;

fn refused(yaml: &str) -> String {
    let declaration: Declaration = serde_saphyr::from_str(yaml).expect(yaml);
    declaration.check().expect_err(yaml).to_string()
}

#[test]
fn what_can_not_work_is_refused_with_its_name() {
    for (yaml, told) in [
        (
            "{ type: MCP_STDIO, command: ../bin/sh }",
            "is no name of a command",
        ),
        (
            "{ type: MCP_HTTP, url: 'file:///etc/passwd' }",
            "begins with https://",
        ),
        (
            "{ type: MCP_HTTP, url: 'https://x.example/{a}' }",
            "no places for arguments",
        ),
        (
            "{ type: MCP_HTTP, url: 'https://x.example/', headers: [{ name: Host, value: z }] }",
            "set by Stint itself",
        ),
        (
            "{ type: MCP_HTTP, url: 'https://x.example/', headers: [{ name: A, value: '{{b}}' }] }",
            "{{secret:TOKEN}}",
        ),
        ("{ type: HTTP, tools: [] }", "declares 1 to 200 tools"),
        (
            "{ type: HTTP, tools: [{ name: a.b, description: x, url: 'https://x.example/' }] }",
            "is no name of a tool",
        ),
        (
            "{ type: HTTP, tools: [{ name: a, description: x, url: 'https://{h}/' }] }",
            "place in its host",
        ),
        (
            "{ type: HTTP, tools: [{ name: a, description: x, url: 'https://x.example/{id}' }] }",
            "no such property",
        ),
        (
            "{ type: HTTP, tools: [{ name: a, description: x, url: 'https://x.example/', parameters: { type: objekt } }] }",
            "no JSON Schema",
        ),
    ] {
        let message = refused(yaml);
        assert!(message.contains(told), "{yaml}: {message}");
    }
}

#[test]
fn it_reads_back_and_names_its_secrets() {
    let yaml = "{ type: HTTP, headers: [{ name: Authorization, value: 'Bearer {{secret:DESK}}' }], tools: [{ name: get, description: Reads., \
                url: 'https://x.example/{id}', parameters: { type: object, properties: { id: { type: string } }, required: [id] }, effect: READ, \
                headers: [{ name: X-Key, value: '{{secret:KEY}}' }] }] }";
    let declaration: Declaration = serde_saphyr::from_str(yaml).expect("read");
    declaration.check().expect("fits");
    let row = declaration.to_row().expect("a row");
    assert_eq!(Declaration::from_row(&row).expect("read back"), declaration);
    assert_eq!(
        declaration.secrets().into_iter().collect::<Vec<_>>(),
        ["DESK", "KEY"]
    );
    let unknown = serde_saphyr::from_str::<Declaration>("{ type: MCP_STDIO, argv: [sh] }");
    assert!(unknown.is_err());
}
