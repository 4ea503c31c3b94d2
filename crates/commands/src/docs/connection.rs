//! Arguments and history of the commands on connections.

use super::{Docs, block, integer, one_of, string, token};

pub static DOCS: &[Docs] = &[
    Docs::of("auth").history(&[("6.0.0", "Added ACL style (username and password).")]).arguments(&[string("username").since("6.0.0").optional(), string("password")]),
    Docs::of("client|caching").arguments(&[one_of("mode", &[token("yes", "YES"), token("no", "NO")])]),
    Docs::of("client|capa").arguments(&[string("capability").multiple()]),
    Docs::of("client|kill").history(&[("2.8.12", "Added new filter format."), ("2.8.12", "`ID` option."), ("3.2.0", "Added `master` type in for `TYPE` option."), ("5.0.0", "Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility."), ("6.2.0", "`LADDR` option.")]).arguments(&[one_of("filter", &[string("ip:port").deprecated("2.8.12"), one_of("new-format", &[integer("client-id").after("ID").since("2.8.12").optional(), one_of("normal_master_slave_pubsub", &[token("normal", "NORMAL"), token("master", "MASTER").since("3.2.0"), token("slave", "SLAVE"), token("replica", "REPLICA").since("5.0.0"), token("pubsub", "PUBSUB")]).after("TYPE").since("2.8.12").optional(), string("username").after("USER").optional(), string("ip:port").after("ADDR").optional(), string("ip:port").after("LADDR").since("6.2.0").optional(), string("yes/no").after("SKIPME").optional()]).multiple()])]),
    Docs::of("client|list").history(&[("2.8.12", "Added unique client `id` field."), ("5.0.0", "Added optional `TYPE` filter."), ("6.0.0", "Added `user` field."), ("6.2.0", "Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter."), ("7.0.0", "Added `resp`, `multi-mem`, `rbs` and `rbp` fields."), ("7.0.3", "Added `ssub` field.")]).arguments(&[one_of("normal_master_replica_pubsub", &[token("normal", "NORMAL"), token("master", "MASTER"), token("replica", "REPLICA"), token("pubsub", "PUBSUB")]).after("TYPE").since("5.0.0").optional(), block("id", &[integer("client-id").multiple()]).after("ID").since("6.2.0").optional()]),
    Docs::of("client|no-evict").arguments(&[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
    Docs::of("client|no-touch").arguments(&[one_of("enabled", &[token("on", "ON"), token("off", "OFF")])]),
    Docs::of("client|pause").history(&[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")]).arguments(&[integer("timeout"), one_of("mode", &[token("write", "WRITE"), token("all", "ALL")]).since("6.2.0").optional()]),
    Docs::of("client|reply").arguments(&[one_of("on_off_skip", &[token("on", "ON"), token("off", "OFF"), token("skip", "SKIP")])]),
    Docs::of("client|setinfo").arguments(&[one_of("attr", &[string("libname").after("LIB-NAME"), string("libver").after("LIB-VER")])]),
    Docs::of("client|setname").arguments(&[string("connection-name")]),
    Docs::of("client|tracking").arguments(&[one_of("status", &[token("on", "ON"), token("off", "OFF")]), integer("client-id").after("REDIRECT").optional(), string("prefix").after("PREFIX").optional().multiple().multiple_token(), token("bcast", "BCAST").optional(), token("optin", "OPTIN").optional(), token("optout", "OPTOUT").optional(), token("noloop", "NOLOOP").optional()]),
    Docs::of("client|unblock").arguments(&[integer("client-id"), one_of("timeout_error", &[token("timeout", "TIMEOUT"), token("error", "ERROR")]).optional()]),
    Docs::of("echo").arguments(&[string("message")]),
    Docs::of("hello").history(&[("6.2.0", "`protover` made optional; when called without arguments the command reports the current connection's context.")]).arguments(&[block("arguments", &[integer("protover"), block("username_password", &[string("username"), string("password")]).after("AUTH").optional(), string("clientname").after("SETNAME").optional()]).optional()]),
    Docs::of("ping").arguments(&[string("message").optional()]),
    Docs::of("select").arguments(&[integer("index")]),
];
