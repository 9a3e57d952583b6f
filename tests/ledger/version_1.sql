-- A ledger as guard wrote it when its format was version 1. It must open and fold for good: do not change this file.
PRAGMA page_size = 8192;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1735745906;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE document (
             name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, at INTEGER NOT NULL
           ) STRICT, WITHOUT ROWID;
INSERT INTO "document" VALUES('loop',X'7B226174223A22323032362D30332D30345430313A33303A30305A227D',1772452800000);
CREATE TABLE due_run (
             due INTEGER NOT NULL, schedule TEXT NOT NULL, via TEXT NOT NULL,
             seq INTEGER NOT NULL, ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
             PRIMARY KEY (due, schedule, via)
           ) STRICT, WITHOUT ROWID;
INSERT INTO "due_run" VALUES(1772415000000,'nightly','',6,1);
INSERT INTO "due_run" VALUES(1772501400000,'nightly','',2,1);
INSERT INTO "due_run" VALUES(1772587800000,'nightly','seq-1',2,0);
CREATE TABLE event (
             schedule TEXT NOT NULL, due INTEGER NOT NULL, via TEXT NOT NULL, seq INTEGER NOT NULL CHECK (seq > 0),
             body TEXT NOT NULL,
             PRIMARY KEY (schedule, due, via, seq)
           ) STRICT, WITHOUT ROWID;
INSERT INTO "event" VALUES('nightly',1772415000000,'',1,'{"kind":"seen","at":"2026-03-02T01:15:00Z","job":"job-1","job_name":"Nightly","schedule_name":"every night","cron":"30 1 * * *","zone":"UTC","expected_at":"2026-03-02T01:30:00Z","starts":["2026-03-02T01:30:00Z"]}');
INSERT INTO "event" VALUES('nightly',1772415000000,'',2,'{"kind":"decided","at":"2026-03-02T01:29:00Z","facts_at":"2026-03-02T01:28:00Z","vms":["vm-00000","vm-00001"],"verdict":{"action":"start_some","sentence":"1 VM is held.","clears":"coalescing","start_vms":["vm-00000"],"held":[{"vm":"vm-00001","name":"the last","codes":["CHAIN_LONG"],"deadline":"2026-03-02T05:30:00Z"}],"findings":[{"code":"CHAIN_LONG","check":"chain","level":"block","certainty":"likely","harm":"production","scope":{"kind":"vm","id":"vm-00001","name":"the last"},"holds":["vm-00001"],"summary":"The chain of the last VM is 29 long, 30 is XAPI''s limit.","facts":[{"name":"length","value":29,"unit":"VHDs","source":"XO REST","observed_at":"2026-03-02T01:30:00Z"}],"remedy":"Rescan the SR.","clears":{"by":"time","eta":"2026-03-02T03:30:00Z"}}],"unknown":false}}');
INSERT INTO "event" VALUES('nightly',1772415000000,'',3,'{"kind":"started","at":"2026-03-02T01:30:03Z","run":"1772415000000","began":"2026-03-02T01:30:00.012000Z"}');
INSERT INTO "event" VALUES('nightly',1772415000000,'',4,'{"kind":"alarmed","at":"2026-03-02T10:30:00Z","code":"JOB_STUCK","text":"no progress for 30 min"}');
INSERT INTO "event" VALUES('nightly',1772415000000,'',5,'{"kind":"attempt_ended","at":"2026-03-02T02:30:00Z","run":"1772415000000","outcome":{"run":"1772415000000","job":{"kind":"job","id":"job-1","name":"Nightly"},"schedule":"nightly","status":"failure","times":{"start_ms":1772415000012,"end_ms":1772418600345},"sent_bytes":1152921504606846976,"vms":[{"vm":{"kind":"vm","id":"vm-00000","name":"web"},"status":"failure","times":{"start_ms":1772415000012,"end_ms":1772418600345},"attempts":2,"sent_bytes":0,"targets":[{"target":{"kind":"repository","id":"br-1","name":"Größe"},"status":"failure","times":{"start_ms":1772415000012,"end_ms":1772418600345},"written":false,"sent_bytes":0,"full":null,"causes":[{"run":"1772415000000","scope":{"kind":"vm","id":"vm-00000","name":"web"},"code":"REPOSITORY_SPACE","transient":false,"waiting_helps":true,"text":"ENOSPC: no space left on device","place":"transfer","target":{"kind":"repository","id":"br-1","name":"Größe"}}]}],"causes":[{"run":"1772415000000","scope":{"kind":"vm","id":"vm-00000","name":"web"},"code":"REPOSITORY_SPACE","transient":false,"waiting_helps":true,"text":"ENOSPC: no space left on device","place":"transfer","target":{"kind":"repository","id":"br-1","name":"Größe"}}]}],"unattempted":["vm-00001"],"causes":[{"run":"1772415000000","scope":{"kind":"vm","id":"vm-00000","name":"web"},"code":"REPOSITORY_SPACE","transient":false,"waiting_helps":true,"text":"ENOSPC: no space left on device","place":"transfer","target":{"kind":"repository","id":"br-1","name":"Größe"}}]}}');
INSERT INTO "event" VALUES('nightly',1772415000000,'',6,'{"kind":"ended","at":"2026-03-02T02:30:00Z","end":"observed"}');
INSERT INTO "event" VALUES('nightly',1772501400000,'',1,'{"kind":"seen","at":"2026-03-02T01:15:00Z","job":"job-1","job_name":"Nightly","schedule_name":"every night","cron":"30 1 * * *","zone":"UTC","expected_at":"2026-03-02T01:30:00Z","starts":["2026-03-02T01:30:00Z"],"late":true}');
INSERT INTO "event" VALUES('nightly',1772501400000,'',2,'{"kind":"ended","at":"2026-03-02T02:30:00Z","end":"missed","code":"XO_DID_NOT_FIRE","reason":"XO started nobody within 60 s."}');
INSERT INTO "event" VALUES('nightly',1772587800000,'seq-1',1,'{"kind":"seen","at":"2026-03-02T01:15:00Z","job":"job-1","job_name":"Nightly","schedule_name":"Größe","cron":"30 1 * * *","zone":"UTC","expected_at":"2026-03-02T01:30:00Z","starts":["2026-03-02T01:30:00Z"]}');
INSERT INTO "event" VALUES('nightly',1772587800000,'seq-1',2,'{"kind":"decided","at":"2026-03-02T01:29:00Z","facts_at":"2026-03-02T01:28:00Z","vms":["vm-00000"],"verdict":{"action":"start_some","sentence":"1 VM is held.","clears":"coalescing","start_vms":[],"held":[{"vm":"vm-00000","name":"the last","codes":["CHAIN_LONG"],"deadline":"2026-03-02T05:30:00Z"}],"findings":[{"code":"CHAIN_LONG","check":"chain","level":"block","certainty":"likely","harm":"production","scope":{"kind":"vm","id":"vm-00000","name":"the last"},"holds":["vm-00000"],"summary":"The chain of the last VM is 29 long, 30 is XAPI''s limit.","facts":[{"name":"length","value":29,"unit":"VHDs","source":"XO REST","observed_at":"2026-03-02T01:30:00Z"}],"remedy":"Rescan the SR.","clears":{"by":"time","eta":"2026-03-02T03:30:00Z"}}],"unknown":false}}');
CREATE TABLE identity (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "identity" VALUES('created_at','2026-03-02T12:00:00+00:00');
INSERT INTO "identity" VALUES('instance','0001020304050607');
INSERT INTO "identity" VALUES('xo','https://xo.example');
CREATE TABLE lease (
             one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
             holder TEXT NOT NULL, taken INTEGER NOT NULL, until INTEGER NOT NULL
           ) STRICT, WITHOUT ROWID;
CREATE TABLE mark (schedule TEXT NOT NULL PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "mark" VALUES('nightly',1772587800000);
CREATE TABLE outbox (
             id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, message BLOB NOT NULL,
             created INTEGER NOT NULL, next_try_at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
             last_error TEXT NOT NULL DEFAULT '', dropped INTEGER NOT NULL DEFAULT 0 CHECK (dropped IN (0, 1))
           ) STRICT;
INSERT INTO "outbox" VALUES(1,'mail',X'7B2274657874223A2268656C6C6F227D',1772452800000,1772452800000,0,'',0);
CREATE INDEX open_run ON due_run (due, schedule, via) WHERE ended = 0;
CREATE INDEX outbox_waiting ON outbox (next_try_at, id) WHERE dropped = 0;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',1);
COMMIT;
