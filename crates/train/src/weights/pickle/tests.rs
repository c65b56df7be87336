//! The stack machine by itself; whole files are in the tests of `pth`.

use super::*;

fn read(bytes: &[u8]) -> Result<Pickle<'_>, String> {
    Pickle::read(bytes).map_err(|error| error.to_string())
}

/// A pickle of protocol 2.
fn protocol_2(opcodes: &[u8]) -> Vec<u8> {
    [b"\x80\x02", opcodes, b"."].concat()
}

#[test]
fn data_come_as_they_were_pickled() {
    for (name, opcodes, expected) in [
        ("an integer of 1 byte", &b"K\xff"[..], Value::Int(255)),
        ("of 2 bytes", b"M\x00\x01", Value::Int(256)),
        ("of 4 bytes", b"J\xfe\xff\xff\xff", Value::Int(-2)),
        ("a long one", b"\x8a\x02\x00\x01", Value::Long(&[0, 1])),
        ("text", b"X\x03\0\0\0abc", Value::Text("abc")),
        ("short text", b"\x8c\x02ab", Value::Text("ab")),
        ("text that is no UTF-8", b"U\x01\xff", Value::Opaque),
        ("true", b"\x88", Value::Bool(true)),
        ("bytes", b"C\x02ab", Value::Opaque),
        ("a memo's value", b"K\x01q\x07K\x02h\x07", Value::Int(1)),
        ("what is under what was dropped", b"K\x01K\x020", Value::Int(1)),
        ("what is under a dropped mark", b"K\x01(K\x02K\x031", Value::Int(1)),
        ("a known name", b"ctorch\nHalfStorage\n", Value::Global(Global::Storage("HalfStorage"))),
        ("an unknown name", b"cos\nsystem\n", Value::Opaque),
        ("a call of an unknown name", b"cos\nsystem\nX\x02\0\0\0ls\x85R", Value::Opaque),
        ("an object of an unknown class", b"cargparse\nNamespace\n)\x81}X\x01\0\0\0aK\x01sb", Value::Opaque),
        ("a storage that is called", b"ctorch\nFloatStorage\nK\x01\x85R", Value::Opaque),
    ] {
        let bytes = protocol_2(opcodes);
        let pickle = read(&bytes).expect(name);
        assert_eq!(pickle.root(), &expected, "{name}");
        assert_eq!(pickle.length, bytes.len(), "{name}");
    }
    let bytes = protocol_2(b"]q\x00(K\x01K\x02e0h\x00}X\x01\0\0\0aK\x03s\x86");
    let pickle = read(&bytes).unwrap();
    let Value::Tuple(items) = pickle.root() else { panic!("{pickle:?}") };
    let (Value::List(list), Value::Dict(dict)) = (pickle.get(items[0]), pickle.get(items[1])) else {
        panic!("{pickle:?}")
    };
    assert_eq!(list.iter().map(|id| pickle.get(*id)).collect::<Vec<_>>(), [&Value::Int(1), &Value::Int(2)]);
    assert_eq!((pickle.get(dict[0].0), pickle.get(dict[0].1)), (&Value::Text("a"), &Value::Int(3)));
}

#[test]
fn names_that_are_not_known_are_told() {
    let bytes = protocol_2(b"(cos\nsystem\nccollections\nOrderedDict\n\x8c\x08argparse\x8c\x09Namespace\x93t");
    let unknown = read(&bytes).unwrap().unknown;
    assert_eq!(unknown.into_iter().collect::<Vec<_>>(), [("argparse", "Namespace"), ("os", "system")]);
}

#[test]
fn nonsense_is_refused() {
    for (name, bytes, part) in [
        ("protocol 0", &b"(lp0\n."[..], "of no protocol that PyTorch uses"),
        ("protocol 6", b"\x80\x06N.", "of no protocol that PyTorch uses"),
        ("nothing on the stack", b"\x80\x02.", "its stack runs empty at byte 3"),
        ("an opcode of protocol 0", b"\x80\x02I01\n.", "the opcode 0x49"),
        ("an extension", b"\x80\x02\x82\x01.", "the opcode 0x82"),
        ("no mark", b"\x80\x02t.", "a mark is missing"),
        ("the stack under a mark", b"\x80\x02K\x01(0.", "its stack runs empty"),
        ("no memo", b"\x80\x02h\x01.", "takes from its memo what is not there"),
        ("half an entry", b"\x80\x02}(K\x01u.", "adds to what is neither list nor dictionary"),
        ("an item of a number", b"\x80\x02K\x01K\x02a.", "adds to what is neither list nor dictionary"),
        ("no end", b"\x80\x02N", "cut short"),
        ("text beyond the end", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.", "cut short"),
        ("a long of half the memory", b"\x80\x02\x8b\xff\xff\xff\x7f\x01.", "cut short"),
    ] {
        let error = read(bytes).expect_err(name);
        assert!(error.contains(part), "{name}: no `{part}` in {error}");
    }
    let long = [&b"\x80\x02"[..], &vec![b'N'; MOST_BYTES], b"."].concat();
    assert!(read(&long).unwrap_err().contains("longer than 8 MiB"));
}

/// Python's own reader takes a call of itself for each level of some of these.
#[test]
fn depth_and_circles_are_no_danger() {
    let levels = 1_000_000;
    let nested = [vec![b'('; levels], vec![b't'; levels]].concat();
    assert!(matches!(read(&protocol_2(&nested)).unwrap().root(), Value::Tuple(items) if items.len() == 1));
    let circle = protocol_2(b"]q\x00h\x00a");
    let pickle = read(&circle).unwrap();
    let Value::List(items) = pickle.root() else { panic!("{pickle:?}") };
    assert_eq!(pickle.get(items[0]), pickle.root());
}

/// A long list of arguments and many calls with it, of some bytes each, must not become as many lists.
#[test]
fn calls_copy_nothing() {
    let (numbers, calls) = (300_000, 300_000);
    let list = [vec![b'('], vec![b'N'; numbers], b"tq\x00".to_vec()].concat();
    for (name, callable) in
        [("a tensor", &b"ctorch._utils\n_rebuild_tensor_v2\nq\x01"[..]), ("a size", b"ctorch\nSize\nq\x01")]
    {
        let call = if name == "a size" { &b"0h\x01h\x00\x85R"[..] } else { b"0h\x01h\x00R" };
        let bytes = protocol_2(&[&list[..], callable, &call.repeat(calls)].concat());
        let pickle = read(&bytes).expect(name);
        let held: usize =
            pickle.values.iter().map(|value| if let Value::Tuple(items) = value { items.len() } else { 0 }).sum();
        assert!(held <= numbers + calls, "{name}: {held} items");
    }
    let pairs = [&b"](NN\x86NN\x86eq\x00ccollections\nOrderedDict\nq\x01"[..], &b"0h\x01h\x00\x85R".repeat(3)].concat();
    let bytes = protocol_2(&pairs);
    let pickle = read(&bytes).unwrap();
    let entries: usize =
        pickle.values.iter().map(|value| if let Value::Dict(dict) = value { dict.len() } else { 0 }).sum();
    assert_eq!(entries, 2, "a list of pairs is used up by the first call");
}
