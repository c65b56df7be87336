//! The hub as a small server on the loopback, which answers as the real one does, or does not.

use super::*;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use tempfile::TempDir;

const NAME: &str = "owner/model";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server treats requests for the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Well,
    /// So many bytes, and then the connection is cut; the first few times.
    CutAfter(usize, usize),
    /// Other bytes than the checksum is of.
    Altered,
    /// The whole file, whatever part is asked for, from the second request for content on.
    IgnoresRanges,
    Status(u16),
    Silent,
}

/// Path and `Authorization` of a request.
type Request = (String, Option<String>);

/// A hub with one model.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Server {
    fn start(weights: Option<Vec<u8>>, config: Option<&'static str>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            let cuts = Arc::new(Mutex::new(0));
            for stream in listener.incoming() {
                let (seen, weights, cuts) = (Arc::clone(&seen), weights.clone(), Arc::clone(&cuts));
                thread::spawn(move || answer(stream.unwrap(), &seen, weights.as_deref(), config, manner, &cuts));
            }
        });
        Self { address, requests }
    }

    fn settings(&self, cache: &TempDir) -> HubSettings {
        HubSettings {
            endpoint: self.address.clone(),
            cache: cache.path().join("hub"),
            token: None,
            offline: false,
            patience: Duration::from_secs(20),
        }
    }

    fn paths(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }
}

/// One request after another on a connection.
fn answer(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    weights: Option<&[u8]>,
    config: Option<&str>,
    manner: Manner,
    cuts: &Mutex<usize>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((key, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(key.to_ascii_lowercase(), value.to_owned());
        }
        seen.lock().unwrap().push((path.clone(), headers.get("authorization").cloned()));
        let content = match path.rsplit('/').next() {
            Some("model.safetensors") => weights,
            Some("config.json") => config.map(str::as_bytes),
            _ => None,
        };
        let is_weights = path.ends_with("model.safetensors");
        if path.starts_with("/api/models/") && weights.is_none() && manner == Manner::Well {
            let body = r#"{"siblings": [{"rfilename": "README.md"}, {"rfilename": "pytorch_model.bin"}], "sha": "x"}"#;
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            continue;
        }
        match (manner, content) {
            (Manner::Silent, _) if is_weights => thread::sleep(Duration::from_secs(30)),
            (Manner::Status(status), _) if is_weights || path.starts_with("/api/") => {
                write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
            // As the hub: to where the content is, with what is known of it.
            (_, Some(content)) if path.contains("/resolve/") => {
                let etag = if is_weights { sha256(content) } else { "0123".into() };
                let size = content.len();
                let to = path.replace("/resolve/", "/content/");
                write!(
                    stream,
                    "HTTP/1.1 302 Found\r\nLocation: http://{}{to}\r\nx-repo-commit: {COMMIT}\r\nx-linked-size: {size}\r\n\
                     x-linked-etag: \"{etag}\"\r\nETag: \"{etag}\"\r\nContent-Length: 0\r\n\r\n",
                    headers["host"]
                )
                .unwrap();
            }
            (_, Some(content)) => {
                if !send(&mut stream, content, &headers, if is_weights { manner } else { Manner::Well }, cuts) {
                    return;
                }
            }
            _ => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap(),
        }
    }
}

/// A part of the content; false if the connection is cut.
fn send(
    stream: &mut TcpStream,
    content: &[u8],
    headers: &HashMap<String, String>,
    manner: Manner,
    cuts: &Mutex<usize>,
) -> bool {
    let range = headers.get("range").and_then(|range| range.strip_prefix("bytes=")).unwrap_or("0-").to_owned();
    let (start, end) = range.split_once('-').unwrap();
    let probe = end == "0";
    let mut start: usize = start.parse().unwrap();
    if manner == Manner::IgnoresRanges && !probe {
        start = 0;
    }
    let end = end.parse().map_or(content.len(), |end: usize| end + 1);
    let mut body = content[start.min(content.len())..end].to_vec();
    if manner == Manner::Altered && !probe {
        body.iter_mut().for_each(|byte| *byte ^= 1);
    }
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n\r\n",
        body.len(),
        end - 1,
        content.len()
    )
    .unwrap();
    if let Manner::CutAfter(bytes, times) = manner
        && !probe
        && *cuts.lock().unwrap() < times
    {
        *cuts.lock().unwrap() += 1;
        stream.write_all(&body[..bytes.min(body.len())]).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Both);
        return false;
    }
    // Whoever has stopped listening is no fault of the server's.
    stream.write_all(&body).is_ok()
}

fn weights() -> Vec<u8> {
    (0..300_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

const CONFIG_TEXT: &str = "{\"architecture\": \"resnet18\"}";

#[test]
fn a_model_is_fetched_once_and_then_read_from_the_cache_without_a_request() {
    let server = Server::start(Some(weights()), Some(CONFIG_TEXT), Manner::Well);
    let cache = tempfile::tempdir().unwrap();
    let settings = HubSettings { token: Some("secret".into()), ..server.settings(&cache) };
    let files = fetch_with(&settings, NAME).unwrap();
    assert_eq!(fs::read(&files.weights).unwrap(), weights());
    assert_eq!(fs::read_to_string(files.config.as_ref().unwrap()).unwrap(), CONFIG_TEXT);
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests[0].0, "/owner/model/resolve/main/model.safetensors");
    assert_eq!(requests[0].1.as_deref(), Some("Bearer secret"));

    let count = server.paths().len();
    assert_eq!(fetch_with(&settings, NAME).unwrap(), files);
    let gone = HubSettings { endpoint: "http://127.0.0.1:1".into(), ..settings.clone() };
    assert_eq!(fetch_with(&gone, NAME).unwrap(), files);
    assert_eq!(fetch_with(&HubSettings { offline: true, ..settings.clone() }, NAME).unwrap(), files);
    assert_eq!(server.paths().len(), count);

    // What was altered in the cache is fetched again.
    let content = files.weights.canonicalize().unwrap();
    fs::write(&content, "altered").unwrap();
    assert_eq!(fs::read(fetch_with(&settings, NAME).unwrap().weights).unwrap(), weights());
    // Another revision is another file.
    fetch_with(&settings, "owner/model@v2").unwrap();
    assert!(server.paths().iter().any(|path| path.contains("/resolve/v2/")));
}

#[test]
fn a_download_that_is_cut_goes_on_and_a_wrong_one_is_not_believed() {
    for (manner, works) in [
        (Manner::CutAfter(100_000, 1), true),
        (Manner::CutAfter(100_000, 2), true),
        (Manner::Altered, false),
        (Manner::IgnoresRanges, true),
    ] {
        let server = Server::start(Some(weights()), None, manner);
        let cache = tempfile::tempdir().unwrap();
        let settings = server.settings(&cache);
        if manner == Manner::IgnoresRanges {
            // The beginning of another file, as if the model had changed since a download was cut.
            let blobs = settings.cache.join("models--owner--model/blobs");
            fs::create_dir_all(&blobs).unwrap();
            fs::write(blobs.join(format!("{}.part", sha256(&weights()))), "beginning").unwrap();
        }
        match fetch_with(&settings, NAME) {
            Ok(files) => {
                assert!(works, "{manner:?}");
                assert_eq!(fs::read(files.weights).unwrap(), weights(), "{manner:?}");
                assert_eq!(files.config, None);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!works && error.contains("checksum differs") && error.contains("hint"), "{manner:?}: {error}");
                assert!(Cache::new(settings.cache).repo(Repo::model(NAME.into())).get(WEIGHTS).is_none());
            }
        }
    }
}

#[test]
fn what_stands_in_the_way_is_told_with_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    let error = |server: &Server, change: fn(&mut HubSettings)| {
        let mut settings = server.settings(&cache);
        change(&mut settings);
        let error = fetch_with(&settings, NAME).unwrap_err().to_string();
        assert!(error.contains("hint:") && error.contains(NAME), "{error}");
        error
    };
    let without = Server::start(None, Some(CONFIG_TEXT), Manner::Well);
    let missing = error(&without, |_| ());
    assert!(missing.contains("README.md, pytorch_model.bin") && missing.contains("train weights import"), "{missing}");
    let nowhere = Server::start(None, None, Manner::Status(404));
    assert!(error(&nowhere, |_| ()).contains("check the name"));
    let private = Server::start(None, None, Manner::Status(401));
    assert!(error(&private, |_| ()).contains("set `HF_TOKEN`"));
    assert!(error(&private, |settings| settings.token = Some("old".into())).contains("refuses your token (401)"));
    let broken = Server::start(None, None, Manner::Status(500));
    assert!(error(&broken, |_| ()).contains("status 500"));
    let silent = Server::start(Some(weights()), None, Manner::Silent);
    assert!(error(&silent, |settings| settings.patience = Duration::from_millis(200)).contains("sent nothing"));
    assert!(error(&silent, |settings| settings.offline = true).contains("forbids requests"));
    assert!(error(&silent, |settings| settings.endpoint = "http://127.0.0.1:1".into()).contains("check the network"));
}

#[test]
fn names_of_the_hub_are_told_from_paths() {
    for (text, is_name) in [
        ("timm/tf_efficientnet_lite0.in1k", true),
        ("timm/resnet18.a1_in1k@main", true),
        ("owner/model@0123abc", true),
        ("weights/model.safetensors", false),
        ("weights/resnet.pth", false),
        ("model", false),
        ("a/b/c", false),
        ("/a/b", false),
        ("./b", false),
        ("../b", false),
        ("~/b", false),
        ("a/", false),
        ("a/b@", false),
        ("a/b c", false),
        ("a/b?c", false),
    ] {
        assert_eq!(is_hub_name(text), is_name, "{text}");
    }
}
