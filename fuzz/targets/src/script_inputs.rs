//! What the libraries of scripts read: JSON, MessagePack, packed structures, replies of commands; and payloads of FUNCTION RESTORE.

use rivulet_rdb::crc64;

use crate::scripts::{engine, eval};

/// What is written from what was read, reads the same.
const JSON: &str = "cjson.encode_invalid_numbers(true) local ok, value = pcall(cjson.decode, ARGV[1]) if not ok then return 1 end \
    local once, text = pcall(cjson.encode, value) if not once then return 1 end \
    local twice, again = pcall(function() return cjson.encode(cjson.decode(text)) end) \
    return (not twice or #again == #text) and 1 or text";

const MESSAGE_PACK: &str = "local ok, value = pcall(cmsgpack.unpack, ARGV[1]) if not ok then return 1 end \
    local text = cmsgpack.pack(value) return #cmsgpack.pack(cmsgpack.unpack(text)) == #text and 1 or text";

const PARTS: &str = "pcall(cmsgpack.unpack_limit, ARGV[1], 3, 2) pcall(cmsgpack.unpack_one, ARGV[1], 1) return 1";

const STRUCTURE: &str = "local at = ARGV[1]:find('|', 1, true) or 1 local format, data = ARGV[1]:sub(1, at - 1), ARGV[1]:sub(at + 1) \
    pcall(struct.size, format) pcall(struct.pack, format, 1, 'abc', -2.5, 3, data, 6, 7) \
    local r = {pcall(struct.unpack, format, data)} if r[1] then table.remove(r, 1) table.remove(r) pcall(struct.pack, format, unpack(r)) end return 1";

const REPLY: &str = "redis.setresp(3) return redis.pcall('raw', ARGV[1]) and 1 or 1";

const BITS: &str = "for _, f in pairs(bit) do pcall(f, ARGV[1], #ARGV[1], ARGV[1]) end return 1";

const SCRIPTS: [&str; 6] = [JSON, MESSAGE_PACK, PARTS, STRUCTURE, REPLY, BITS];

pub fn run(bytes: &[u8]) {
    let Some((&choice, data)) = bytes.split_first() else { return };
    let choice = usize::from(choice) % (SCRIPTS.len() + 1);
    let mut engine = engine();
    match SCRIPTS.get(choice) {
        Some(script) => {
            let reply = eval(&mut engine, script.as_bytes(), &[data]).expect("the script compiles");
            let malformed = reply.starts_with(b"-") && choice == 4;
            assert!(reply == b":1\r\n" || malformed, "{}", String::from_utf8_lossy(&reply));
        }
        None => {
            let _ = rivulet_scripting::dump::read(data);
            let mut payload = [data, &10u16.to_le_bytes()].concat();
            payload.extend_from_slice(&crc64::checksum(&payload).to_le_bytes());
            let _ = rivulet_scripting::dump::read(&payload);
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let seeds: [&[u8]; 14] = [
        b"\x00{\"a\": [1, 2.5e3, true, null, \"\\u00e9\\n\"], \"b\": {}}",
        b"\x00[0x10, NaN, -inf, 01, \"\\ud83d\\ude00\"]",
        b"\x01\x93\x01\xa1x\x82\xa1a\xcb?\xf8\0\0\0\0\0\0\xa1b\xc0",
        b"\x01\xdc\0\x02\xcd\x01\0\xd1\xff\0",
        b"\x02\x01\x02\xd9\x03abc\xc3",
        b"\x03>I2 i4 s d|\x01\x02\0\0\0\x05abc\0\0\0\0\0\0\0\0\0",
        b"\x03!4bc0 xh|\x03abc\0\x01\x02",
        b"\x04%1\r\n+a\r\n~1\r\n,1.5\r\n",
        b"\x04*2\r\n$3\r\nabc\r\n=7\r\ntxt:xyz\r\n",
        b"\x04|1\r\n+a\r\n:1\r\n(123456789012345678901\r\n",
        b"\x05-1234567",
        b"\x06\xf5\x0a#!lua name=",
        b"\x06\xf5\xc3\x09\x28\x01aa\xe0\x1b\x00\x01aa",
        b"\x06\xf6\x01a\x03LUA\x00\x01x",
    ];
    seeds.iter().map(|s| s.to_vec()).collect()
}
