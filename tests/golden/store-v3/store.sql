PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (run, sequence)
);
INSERT INTO "events" VALUES(1,1,1,1700000000000,'{"type":"status","status":"pending","epoch":1,"attention":"blocking"}');
INSERT INTO "events" VALUES(2,1,2,1700000000000,'{"type":"status","status":"running","epoch":1,"previous":"pending"}');
INSERT INTO "events" VALUES(3,1,3,1700000000000,'{"type":"phase","name":"prepare","details":{"task":"héllo"}}');
INSERT INTO "events" VALUES(4,1,4,1700000000000,'{"type":"step","stepId":"fetch","kind":"command","key":"abe79f05870be5b7649d8cf9a7c45984","status":"started","attempt":1,"title":"Fetch éverything","phase":"prepare","line":6}');
INSERT INTO "events" VALUES(5,1,5,1700000000000,'{"type":"step","stepId":"fetch","kind":"command","key":"abe79f05870be5b7649d8cf9a7c45984","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(6,1,6,1700000000000,'{"type":"log","message":"fetched","data":{"bytes":500},"line":7}');
INSERT INTO "events" VALUES(7,1,7,1700000000000,'{"type":"step","stepId":"rest","kind":"sleep","key":"485b1f8b69782d814dcf6c17c97b1145","status":"started","attempt":1,"phase":"prepare","line":8,"wakeAtMs":1700000001000}');
INSERT INTO "events" VALUES(8,1,8,1700000001000,'{"type":"step","stepId":"rest","kind":"sleep","key":"485b1f8b69782d814dcf6c17c97b1145","status":"completed","attempt":1,"durationMs":1000}');
INSERT INTO "events" VALUES(9,1,9,1700000001000,'{"type":"step","stepId":"left","kind":"command","key":"a90ba9132f9c3fa3d2de4f29b38e78c9","status":"started","attempt":1,"phase":"prepare","line":10}');
INSERT INTO "events" VALUES(10,1,10,1700000001000,'{"type":"step","stepId":"right","kind":"command","key":"f24121d9b02c3a55d2d5eb249579c26f","status":"started","attempt":1,"phase":"prepare","line":11}');
INSERT INTO "events" VALUES(11,1,11,1700000001000,'{"type":"step","stepId":"right","kind":"command","key":"f24121d9b02c3a55d2d5eb249579c26f","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(12,1,12,1700000001000,'{"type":"step","stepId":"left","kind":"command","key":"a90ba9132f9c3fa3d2de4f29b38e78c9","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(13,1,13,1700000001000,'{"type":"step","stepId":"lint","kind":"command","key":"ff3ef370b6fc0c112af3b780053623df","status":"started","attempt":1,"phase":"prepare","line":15}');
INSERT INTO "events" VALUES(14,1,14,1700000001000,'{"type":"step","stepId":"lint","kind":"command","key":"ff3ef370b6fc0c112af3b780053623df","status":"failed","attempt":1,"durationMs":0,"error":{"code":"step","message":"lint said no","step_id":"lint","line":15}}');
INSERT INTO "events" VALUES(15,1,15,1700000001000,'{"type":"log","message":"lint failed","line":18}');
INSERT INTO "events" VALUES(16,1,16,1700000001000,'{"type":"phase","name":"publish"}');
INSERT INTO "events" VALUES(17,1,17,1700000001000,'{"type":"step","stepId":"publish","kind":"command","key":"cf6e344802bce64c7d08db5510b32499","status":"started","attempt":1,"phase":"publish","line":20}');
INSERT INTO "events" VALUES(18,1,18,1700000001000,'{"type":"step","stepId":"publish","kind":"command","key":"cf6e344802bce64c7d08db5510b32499","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(19,1,19,1700000001000,'{"type":"result","hasReport":false,"hasData":false}');
INSERT INTO "events" VALUES(20,1,20,1700000001000,'{"type":"status","status":"completed","epoch":1,"previous":"running"}');
INSERT INTO "events" VALUES(21,2,1,1700000001000,'{"type":"status","status":"pending","epoch":1,"attention":"blocking"}');
INSERT INTO "events" VALUES(22,2,2,1700000001000,'{"type":"status","status":"running","epoch":1,"previous":"pending"}');
INSERT INTO "events" VALUES(23,2,3,1700000001000,'{"type":"step","stepId":"build","kind":"command","key":"e5e6ffedebd2b588f032c67e76222afa","status":"started","attempt":1,"line":5}');
INSERT INTO "events" VALUES(24,2,4,1700000001000,'{"type":"step","stepId":"build","kind":"command","key":"e5e6ffedebd2b588f032c67e76222afa","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(25,2,5,1700000001000,'{"type":"step","stepId":"test","kind":"command","key":"c3dec691e6e224caa1cce483f3a29faf","status":"started","attempt":1,"line":6}');
INSERT INTO "events" VALUES(26,2,6,1700000001000,'{"type":"step","stepId":"test","kind":"command","key":"c3dec691e6e224caa1cce483f3a29faf","status":"failed","attempt":1,"durationMs":0,"error":{"code":"step","message":"tests are red","step_id":"test","line":6}}');
INSERT INTO "events" VALUES(27,2,7,1700000001000,'{"type":"error","error":{"code":"step","message":"tests are red","step_id":"test","file":"<test>","line":6}}');
INSERT INTO "events" VALUES(28,2,8,1700000001000,'{"type":"status","status":"failed","epoch":1,"previous":"running"}');
INSERT INTO "events" VALUES(29,3,1,1700000001000,'{"type":"status","status":"pending","epoch":1,"attention":"blocking"}');
INSERT INTO "events" VALUES(30,3,2,1700000001000,'{"type":"status","status":"running","epoch":1,"previous":"pending"}');
INSERT INTO "events" VALUES(31,3,3,1700000001000,'{"type":"phase","name":"prepare","details":{"task":"héllo"}}');
INSERT INTO "events" VALUES(32,3,4,1700000001000,'{"type":"step","stepId":"fetch","kind":"command","key":"abe79f05870be5b7649d8cf9a7c45984","status":"started","attempt":1,"title":"Fetch éverything","phase":"prepare","line":6}');
INSERT INTO "events" VALUES(33,3,5,1700000001000,'{"type":"step","stepId":"fetch","kind":"command","key":"abe79f05870be5b7649d8cf9a7c45984","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(34,3,6,1700000001000,'{"type":"log","message":"fetched","data":{"bytes":500},"line":7}');
INSERT INTO "events" VALUES(35,3,7,1700000001000,'{"type":"step","stepId":"rest","kind":"sleep","key":"485b1f8b69782d814dcf6c17c97b1145","status":"started","attempt":1,"phase":"prepare","line":8,"wakeAtMs":1700000002000}');
INSERT INTO "events" VALUES(36,3,8,1700000002000,'{"type":"step","stepId":"rest","kind":"sleep","key":"485b1f8b69782d814dcf6c17c97b1145","status":"completed","attempt":1,"durationMs":1000}');
INSERT INTO "events" VALUES(37,3,9,1700000002000,'{"type":"step","stepId":"left","kind":"command","key":"a90ba9132f9c3fa3d2de4f29b38e78c9","status":"started","attempt":1,"phase":"prepare","line":10}');
INSERT INTO "events" VALUES(38,3,10,1700000002000,'{"type":"step","stepId":"right","kind":"command","key":"f24121d9b02c3a55d2d5eb249579c26f","status":"started","attempt":1,"phase":"prepare","line":11}');
INSERT INTO "events" VALUES(39,3,11,1700000002000,'{"type":"step","stepId":"right","kind":"command","key":"f24121d9b02c3a55d2d5eb249579c26f","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(40,3,12,1700000002000,'{"type":"step","stepId":"left","kind":"command","key":"a90ba9132f9c3fa3d2de4f29b38e78c9","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(41,3,13,1700000002000,'{"type":"step","stepId":"lint","kind":"command","key":"ff3ef370b6fc0c112af3b780053623df","status":"started","attempt":1,"phase":"prepare","line":15}');
INSERT INTO "events" VALUES(42,3,14,1700000002000,'{"type":"step","stepId":"lint","kind":"command","key":"ff3ef370b6fc0c112af3b780053623df","status":"failed","attempt":1,"durationMs":0,"error":{"code":"step","message":"lint said no","step_id":"lint","line":15}}');
INSERT INTO "events" VALUES(43,3,15,1700000002000,'{"type":"log","message":"lint failed","line":18}');
INSERT INTO "events" VALUES(44,3,16,1700000002000,'{"type":"phase","name":"publish"}');
INSERT INTO "events" VALUES(45,3,17,1700000002000,'{"type":"step","stepId":"publish","kind":"command","key":"cf6e344802bce64c7d08db5510b32499","status":"started","attempt":1,"phase":"publish","line":20}');
INSERT INTO "events" VALUES(46,3,18,1700000002000,'{"type":"status","status":"interrupted","epoch":2,"previous":"running","reason":"user","by":"person"}');
INSERT INTO "events" VALUES(47,4,1,1700000002000,'{"type":"status","status":"pending","epoch":1,"attention":"blocking"}');
INSERT INTO "events" VALUES(48,4,2,1700000002000,'{"type":"status","status":"running","epoch":1,"previous":"pending"}');
INSERT INTO "events" VALUES(49,4,3,1700000002000,'{"type":"phase","name":"prepare","details":{"task":"héllo"}}');
INSERT INTO "events" VALUES(50,4,4,1700000002000,'{"type":"step","stepId":"fetch","kind":"command","key":"abe79f05870be5b7649d8cf9a7c45984","status":"started","attempt":1,"title":"Fetch éverything","phase":"prepare","line":6}');
INSERT INTO "events" VALUES(51,4,5,1700000002000,'{"type":"step","stepId":"fetch","kind":"command","key":"abe79f05870be5b7649d8cf9a7c45984","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(52,4,6,1700000002000,'{"type":"log","message":"fetched","data":{"bytes":500},"line":7}');
INSERT INTO "events" VALUES(53,4,7,1700000002000,'{"type":"step","stepId":"rest","kind":"sleep","key":"485b1f8b69782d814dcf6c17c97b1145","status":"started","attempt":1,"phase":"prepare","line":8,"wakeAtMs":1700000003000}');
INSERT INTO "events" VALUES(54,4,8,1700000003000,'{"type":"step","stepId":"rest","kind":"sleep","key":"485b1f8b69782d814dcf6c17c97b1145","status":"completed","attempt":1,"durationMs":1000}');
INSERT INTO "events" VALUES(55,4,9,1700000003000,'{"type":"step","stepId":"left","kind":"command","key":"a90ba9132f9c3fa3d2de4f29b38e78c9","status":"started","attempt":1,"phase":"prepare","line":10}');
INSERT INTO "events" VALUES(56,4,10,1700000003000,'{"type":"step","stepId":"right","kind":"command","key":"f24121d9b02c3a55d2d5eb249579c26f","status":"started","attempt":1,"phase":"prepare","line":11}');
INSERT INTO "events" VALUES(57,4,11,1700000003000,'{"type":"step","stepId":"right","kind":"command","key":"f24121d9b02c3a55d2d5eb249579c26f","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(58,4,12,1700000003000,'{"type":"step","stepId":"left","kind":"command","key":"a90ba9132f9c3fa3d2de4f29b38e78c9","status":"completed","attempt":1,"durationMs":0}');
INSERT INTO "events" VALUES(59,4,13,1700000003000,'{"type":"step","stepId":"lint","kind":"command","key":"ff3ef370b6fc0c112af3b780053623df","status":"started","attempt":1,"phase":"prepare","line":15}');
INSERT INTO "events" VALUES(60,4,14,1700000003000,'{"type":"step","stepId":"lint","kind":"command","key":"ff3ef370b6fc0c112af3b780053623df","status":"failed","attempt":1,"durationMs":0,"error":{"code":"step","message":"lint said no","step_id":"lint","line":15}}');
INSERT INTO "events" VALUES(61,4,15,1700000003000,'{"type":"log","message":"lint failed","line":18}');
INSERT INTO "events" VALUES(62,4,16,1700000003000,'{"type":"phase","name":"publish"}');
INSERT INTO "events" VALUES(63,4,17,1700000003000,'{"type":"step","stepId":"publish","kind":"command","key":"cf6e344802bce64c7d08db5510b32499","status":"started","attempt":1,"phase":"publish","line":20}');
CREATE TABLE inputs (
    run INTEGER PRIMARY KEY,
    args_json NOT NULL,
    args_schema_json NOT NULL,
    script_ref NOT NULL
);
INSERT INTO "inputs" VALUES(1,'{"task":"héllo"}','{"$schema":"https://json-schema.org/draft/2020-12/schema","additionalProperties":false,"properties":{"task":{"default":"all","type":"string"}},"required":[],"type":"object"}','{"name":"test","source":"\nfrom sidestep import command, failure, log, parallel, phase, sleep\n\nasync def main(task: str = \"all\"):\n    phase(\"prepare\", task=task)\n    fetched = await command([\"fetch\", task], id=\"fetch\", title=\"Fetch éverything\")\n    log(\"fetched\", bytes=fetched[\"stdout_bytes\"])\n    await sleep(1, id=\"rest\")\n    both = await parallel({\n        \"left\": command([\"left\"], id=\"left\"),\n        \"right\": command([\"right\"], id=\"right\", check=False),\n    })\n    lint = \"clean\"\n    try:\n        await command([\"lint\"], id=\"lint\")\n    except RuntimeError as error:\n        lint = failure(error)[\"message\"]\n        log(\"lint failed\")\n    phase(\"publish\")\n    published = await command([\"publish\", str(both[\"right\"][\"exit_code\"])], id=\"publish\")\n    return {\"report\": published[\"stdout\"], \"data\": {\"lint\": lint, \"bytes\": fetched[\"stdout_bytes\"]}}\n"}');
INSERT INTO "inputs" VALUES(2,'{}','{"$schema":"https://json-schema.org/draft/2020-12/schema","additionalProperties":false,"properties":{},"required":[],"type":"object"}','{"name":"test","source":"\nfrom sidestep import command\n\nasync def main():\n    await command([\"build\"], id=\"build\")\n    tested = await command([\"test\"], id=\"test\")\n    return {\"report\": tested[\"stdout\"]}\n"}');
INSERT INTO "inputs" VALUES(3,'{"task":"héllo"}','{"$schema":"https://json-schema.org/draft/2020-12/schema","additionalProperties":false,"properties":{"task":{"default":"all","type":"string"}},"required":[],"type":"object"}','{"name":"test","source":"\nfrom sidestep import command, failure, log, parallel, phase, sleep\n\nasync def main(task: str = \"all\"):\n    phase(\"prepare\", task=task)\n    fetched = await command([\"fetch\", task], id=\"fetch\", title=\"Fetch éverything\")\n    log(\"fetched\", bytes=fetched[\"stdout_bytes\"])\n    await sleep(1, id=\"rest\")\n    both = await parallel({\n        \"left\": command([\"left\"], id=\"left\"),\n        \"right\": command([\"right\"], id=\"right\", check=False),\n    })\n    lint = \"clean\"\n    try:\n        await command([\"lint\"], id=\"lint\")\n    except RuntimeError as error:\n        lint = failure(error)[\"message\"]\n        log(\"lint failed\")\n    phase(\"publish\")\n    published = await command([\"publish\", str(both[\"right\"][\"exit_code\"])], id=\"publish\")\n    return {\"report\": published[\"stdout\"], \"data\": {\"lint\": lint, \"bytes\": fetched[\"stdout_bytes\"]}}\n"}');
INSERT INTO "inputs" VALUES(4,'{"task":"héllo"}','{"$schema":"https://json-schema.org/draft/2020-12/schema","additionalProperties":false,"properties":{"task":{"default":"all","type":"string"}},"required":[],"type":"object"}','{"name":"test","source":"\nfrom sidestep import command, failure, log, parallel, phase, sleep\n\nasync def main(task: str = \"all\"):\n    phase(\"prepare\", task=task)\n    fetched = await command([\"fetch\", task], id=\"fetch\", title=\"Fetch éverything\")\n    log(\"fetched\", bytes=fetched[\"stdout_bytes\"])\n    await sleep(1, id=\"rest\")\n    both = await parallel({\n        \"left\": command([\"left\"], id=\"left\"),\n        \"right\": command([\"right\"], id=\"right\", check=False),\n    })\n    lint = \"clean\"\n    try:\n        await command([\"lint\"], id=\"lint\")\n    except RuntimeError as error:\n        lint = failure(error)[\"message\"]\n        log(\"lint failed\")\n    phase(\"publish\")\n    published = await command([\"publish\", str(both[\"right\"][\"exit_code\"])], id=\"publish\")\n    return {\"report\": published[\"stdout\"], \"data\": {\"lint\": lint, \"bytes\": fetched[\"stdout_bytes\"]}}\n"}');
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('oldestWriter','3');
INSERT INTO "meta" VALUES('storeId','2ab8cdf623105433c7d7d6dace734cbe');
CREATE TABLE notices (
    notice INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL,
    -- The folder of a root run that is gone with its tree; NULL: the row has changed.
    deleted_from TEXT
);
INSERT INTO "notices" VALUES(1,'run_a000000000000003',NULL);
CREATE TABLE questions (
    interaction_id TEXT PRIMARY KEY,
    run INTEGER NOT NULL,
    root_run_id TEXT NOT NULL,
    is_open INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Name and label, case-folded, for text searches.
    words TEXT NOT NULL,
    parent_run_id TEXT,
    root_run_id TEXT NOT NULL,
    start_key TEXT,
    created_at_ms INTEGER NOT NULL,
    status TEXT NOT NULL,
    owner_id TEXT,
    record TEXT NOT NULL
);
INSERT INTO "runs" VALUES(1,'run_a000000000000001','@ROOT@/workspace','test','test
the rich one',NULL,'run_a000000000000001',NULL,1700000000000,'completed',NULL,'{"run_id":"run_a000000000000001","name":"test","folder":"@ROOT@/workspace","folder_uri":"file://@ROOT@/workspace","status":"completed","epoch":1,"claim_epoch":1,"owner":null,"attention":"blocking","sequence":20,"created_at_ms":1700000000000,"updated_at_ms":1700000001000,"source_hash":"1ee424c5a2be9ab6f98cf909f188cb820130ffe4ad02b123fc36c43ea235a282","file":"<test>","args_json":"","args_schema_json":"","script_ref":"","root_run_id":"run_a000000000000001","parent_run_id":null,"depth":0,"label":"the rich one","start_key":null,"ended_at_ms":1700000001000,"deadline_at_ms":null,"auto_resume":true,"automatic_resumes":0,"reason":null,"phase":"publish","steps":{"completed":5,"reused":0,"failed":1,"running":0,"known":6},"pending":0,"result":{"file":"@ROOT@/store.db-results/run_a000000000000001.json"},"error":null,"usage":{},"finished":{"duration_ms":1000,"usage":{}},"kept":{},"nested":{},"versions":{"sidestep":"test"}}');
INSERT INTO "runs" VALUES(2,'run_a000000000000002','@ROOT@/workspace','test','test
',NULL,'run_a000000000000002',NULL,1700000001000,'failed',NULL,'{"run_id":"run_a000000000000002","name":"test","folder":"@ROOT@/workspace","folder_uri":"file://@ROOT@/workspace","status":"failed","epoch":1,"claim_epoch":1,"owner":null,"attention":"blocking","sequence":8,"created_at_ms":1700000001000,"updated_at_ms":1700000001000,"source_hash":"456f068d3a7a2fb54f277126acd7c7965b29259e8490623490e46e94ee320e9d","file":"<test>","args_json":"","args_schema_json":"","script_ref":"","root_run_id":"run_a000000000000002","parent_run_id":null,"depth":0,"label":null,"start_key":null,"ended_at_ms":1700000001000,"deadline_at_ms":null,"auto_resume":true,"automatic_resumes":0,"reason":null,"phase":null,"steps":{"completed":1,"reused":0,"failed":1,"running":0,"known":2},"pending":0,"result":null,"error":{"code":"step","message":"tests are red","step_id":"test","file":"<test>","line":6},"usage":{},"finished":{"usage":{}},"kept":{},"nested":{},"versions":{"sidestep":"test"}}');
INSERT INTO "runs" VALUES(3,'run_a000000000000003','@ROOT@/workspace','test','test
the rich one',NULL,'run_a000000000000003',NULL,1700000001000,'interrupted',NULL,'{"run_id":"run_a000000000000003","name":"test","folder":"@ROOT@/workspace","folder_uri":"file://@ROOT@/workspace","status":"interrupted","epoch":2,"claim_epoch":1,"owner":null,"attention":"blocking","sequence":18,"created_at_ms":1700000001000,"updated_at_ms":1700000002000,"source_hash":"1ee424c5a2be9ab6f98cf909f188cb820130ffe4ad02b123fc36c43ea235a282","file":"<test>","args_json":"","args_schema_json":"","script_ref":"","root_run_id":"run_a000000000000003","parent_run_id":null,"depth":0,"label":"the rich one","start_key":null,"ended_at_ms":1700000002000,"deadline_at_ms":null,"auto_resume":true,"automatic_resumes":0,"reason":"user","phase":"publish","steps":{"completed":4,"reused":0,"failed":1,"running":0,"known":6},"pending":0,"result":null,"error":null,"usage":{},"finished":{"duration_ms":1000,"usage":{}},"kept":{},"nested":{},"versions":{"sidestep":"test"}}');
INSERT INTO "runs" VALUES(4,'run_a000000000000004','@ROOT@/workspace','test','test
the rich one',NULL,'run_a000000000000004',NULL,1700000002000,'running','owner-a','{"run_id":"run_a000000000000004","name":"test","folder":"@ROOT@/workspace","folder_uri":"file://@ROOT@/workspace","status":"running","epoch":1,"claim_epoch":1,"owner":{"owner_id":"owner-a","pid":4711,"since_ms":1700000002000},"attention":"blocking","sequence":17,"created_at_ms":1700000002000,"updated_at_ms":1700000003000,"source_hash":"1ee424c5a2be9ab6f98cf909f188cb820130ffe4ad02b123fc36c43ea235a282","file":"<test>","args_json":"","args_schema_json":"","script_ref":"","root_run_id":"run_a000000000000004","parent_run_id":null,"depth":0,"label":"the rich one","start_key":null,"ended_at_ms":null,"deadline_at_ms":null,"auto_resume":true,"automatic_resumes":0,"reason":null,"phase":"publish","steps":{"completed":4,"reused":0,"failed":1,"running":1,"known":6},"pending":0,"result":null,"error":null,"usage":{},"finished":{"duration_ms":1000,"usage":{}},"kept":{},"nested":{},"versions":{"sidestep":"test"}}');
CREATE TABLE sources (
    hash TEXT PRIMARY KEY,
    text NOT NULL
);
INSERT INTO "sources" VALUES('1ee424c5a2be9ab6f98cf909f188cb820130ffe4ad02b123fc36c43ea235a282','
from sidestep import command, failure, log, parallel, phase, sleep

async def main(task: str = "all"):
    phase("prepare", task=task)
    fetched = await command(["fetch", task], id="fetch", title="Fetch éverything")
    log("fetched", bytes=fetched["stdout_bytes"])
    await sleep(1, id="rest")
    both = await parallel({
        "left": command(["left"], id="left"),
        "right": command(["right"], id="right", check=False),
    })
    lint = "clean"
    try:
        await command(["lint"], id="lint")
    except RuntimeError as error:
        lint = failure(error)["message"]
        log("lint failed")
    phase("publish")
    published = await command(["publish", str(both["right"]["exit_code"])], id="publish")
    return {"report": published["stdout"], "data": {"lint": lint, "bytes": fetched["stdout_bytes"]}}
');
INSERT INTO "sources" VALUES('456f068d3a7a2fb54f277126acd7c7965b29259e8490623490e46e94ee320e9d','
from sidestep import command

async def main():
    await command(["build"], id="build")
    tested = await command(["test"], id="test")
    return {"report": tested["stdout"]}
');
CREATE TABLE steps (
    run INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    -- 16 bytes; as TEXT if it is no 32 hex characters.
    key NOT NULL,
    step_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    claim_epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    -- JSON of the fields most steps do not have, or NULL.
    details TEXT,
    output_file TEXT,
    output_json,
    PRIMARY KEY (run, first_sequence)
) WITHOUT ROWID;
INSERT INTO "steps" VALUES(1,4,X'ABE79F05870BE5B7649D8CF9A7C45984','fetch','command','completed',1,1700000000000,1700000000000,1,5,'{"title":"Fetch éverything","phase":"prepare","line":6}','403b53b9516fdc718065893d839b3100475627a8350e944482948b51c9747d65.json',NULL);
INSERT INTO "steps" VALUES(1,7,X'485B1F8B69782D814DCF6C17C97B1145','rest','sleep','completed',1,1700000000000,1700000001000,1,8,'{"phase":"prepare","line":8,"wake_at_ms":1700000001000}',NULL,'null');
INSERT INTO "steps" VALUES(1,9,X'A90BA9132F9C3FA3D2DE4F29B38E78C9','left','command','completed',1,1700000001000,1700000001000,1,12,'{"phase":"prepare","line":10}',NULL,'{"duration_ms":0,"exit_code":0,"stderr":"","stderr_bytes":0,"stdout":"","stdout_bytes":0}');
INSERT INTO "steps" VALUES(1,10,X'F24121D9B02C3A55D2D5EB249579C26F','right','command','completed',1,1700000001000,1700000001000,1,11,'{"phase":"prepare","line":11}',NULL,'{"duration_ms":0,"exit_code":3,"stderr":"","stderr_bytes":0,"stdout":"","stdout_bytes":0}');
INSERT INTO "steps" VALUES(1,13,X'FF3EF370B6FC0C112AF3B780053623DF','lint','command','failed',1,1700000001000,1700000001000,1,14,'{"phase":"prepare","line":15,"failure":{"code":"step","message":"lint said no","step_id":"lint","line":15}}',NULL,NULL);
INSERT INTO "steps" VALUES(1,17,X'CF6E344802BCE64C7D08DB5510B32499','publish','command','completed',1,1700000001000,1700000001000,1,18,'{"phase":"publish","line":20}','403b53b9516fdc718065893d839b3100475627a8350e944482948b51c9747d65.json',NULL);
INSERT INTO "steps" VALUES(2,3,X'E5E6FFEDEBD2B588F032C67E76222AFA','build','command','completed',1,1700000001000,1700000001000,1,4,'{"line":5}',NULL,'{"duration_ms":0,"exit_code":0,"stderr":"","stderr_bytes":0,"stdout":"","stdout_bytes":0}');
INSERT INTO "steps" VALUES(2,5,X'C3DEC691E6E224CAA1CCE483F3A29FAF','test','command','failed',1,1700000001000,1700000001000,1,6,'{"line":6,"failure":{"code":"step","message":"tests are red","step_id":"test","line":6}}',NULL,NULL);
INSERT INTO "steps" VALUES(3,4,X'ABE79F05870BE5B7649D8CF9A7C45984','fetch','command','completed',1,1700000001000,1700000001000,1,5,'{"title":"Fetch éverything","phase":"prepare","line":6}','403b53b9516fdc718065893d839b3100475627a8350e944482948b51c9747d65.json',NULL);
INSERT INTO "steps" VALUES(3,7,X'485B1F8B69782D814DCF6C17C97B1145','rest','sleep','completed',1,1700000001000,1700000002000,1,8,'{"phase":"prepare","line":8,"wake_at_ms":1700000002000}',NULL,'null');
INSERT INTO "steps" VALUES(3,9,X'A90BA9132F9C3FA3D2DE4F29B38E78C9','left','command','completed',1,1700000002000,1700000002000,1,12,'{"phase":"prepare","line":10}',NULL,'{"duration_ms":0,"exit_code":0,"stderr":"","stderr_bytes":0,"stdout":"","stdout_bytes":0}');
INSERT INTO "steps" VALUES(3,10,X'F24121D9B02C3A55D2D5EB249579C26F','right','command','completed',1,1700000002000,1700000002000,1,11,'{"phase":"prepare","line":11}',NULL,'{"duration_ms":0,"exit_code":3,"stderr":"","stderr_bytes":0,"stdout":"","stdout_bytes":0}');
INSERT INTO "steps" VALUES(3,13,X'FF3EF370B6FC0C112AF3B780053623DF','lint','command','failed',1,1700000002000,1700000002000,1,14,'{"phase":"prepare","line":15,"failure":{"code":"step","message":"lint said no","step_id":"lint","line":15}}',NULL,NULL);
INSERT INTO "steps" VALUES(3,17,X'CF6E344802BCE64C7D08DB5510B32499','publish','command','started',1,1700000002000,NULL,1,17,'{"phase":"publish","line":20}',NULL,NULL);
INSERT INTO "steps" VALUES(4,4,X'ABE79F05870BE5B7649D8CF9A7C45984','fetch','command','completed',1,1700000002000,1700000002000,1,5,'{"title":"Fetch éverything","phase":"prepare","line":6}','403b53b9516fdc718065893d839b3100475627a8350e944482948b51c9747d65.json',NULL);
INSERT INTO "steps" VALUES(4,7,X'485B1F8B69782D814DCF6C17C97B1145','rest','sleep','completed',1,1700000002000,1700000003000,1,8,'{"phase":"prepare","line":8,"wake_at_ms":1700000003000}',NULL,'null');
INSERT INTO "steps" VALUES(4,9,X'A90BA9132F9C3FA3D2DE4F29B38E78C9','left','command','completed',1,1700000003000,1700000003000,1,12,'{"phase":"prepare","line":10}',NULL,'{"duration_ms":0,"exit_code":0,"stderr":"","stderr_bytes":0,"stdout":"","stdout_bytes":0}');
INSERT INTO "steps" VALUES(4,10,X'F24121D9B02C3A55D2D5EB249579C26F','right','command','completed',1,1700000003000,1700000003000,1,11,'{"phase":"prepare","line":11}',NULL,'{"duration_ms":0,"exit_code":3,"stderr":"","stderr_bytes":0,"stdout":"","stdout_bytes":0}');
INSERT INTO "steps" VALUES(4,13,X'FF3EF370B6FC0C112AF3B780053623DF','lint','command','failed',1,1700000003000,1700000003000,1,14,'{"phase":"prepare","line":15,"failure":{"code":"step","message":"lint said no","step_id":"lint","line":15}}',NULL,NULL);
INSERT INTO "steps" VALUES(4,17,X'CF6E344802BCE64C7D08DB5510B32499','publish','command','started',1,1700000003000,NULL,1,17,'{"phase":"publish","line":20}',NULL,NULL);
CREATE UNIQUE INDEX runs_by_start_key ON runs (folder, start_key) WHERE start_key IS NOT NULL;
CREATE INDEX runs_by_folder ON runs (folder, status, created_at_ms, run_id) WHERE parent_run_id IS NULL;
CREATE INDEX runs_by_status ON runs (status, created_at_ms, run_id) WHERE parent_run_id IS NULL;
CREATE INDEX runs_by_parent ON runs (parent_run_id, created_at_ms, run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_by_root ON runs (root_run_id);
CREATE INDEX runs_by_owner ON runs (owner_id) WHERE owner_id IS NOT NULL;
CREATE UNIQUE INDEX steps_by_key ON steps (run, key);
CREATE INDEX steps_by_output_file ON steps (output_file) WHERE output_file IS NOT NULL;
CREATE INDEX questions_by_run ON questions (run);
CREATE INDEX questions_open ON questions (root_run_id) WHERE is_open;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',63);
INSERT INTO "sqlite_sequence" VALUES('notices',1);
COMMIT;
