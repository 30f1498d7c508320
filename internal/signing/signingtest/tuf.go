package signingtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// TUF is a repository of The Update Framework that hands a trusted root to clients, as files by path:
// "1.root.json", "timestamp.json", "targets/<sha256>.trusted_root.json" and so on. One key signs all.
type TUF map[string][]byte

// NewTUF returns a repository with one target, trusted_root.json. It is valid for a day.
// Source: TUF specification 1.0, 4 and 6.
func NewTUF(now time.Time, trustedRoot []byte) (TUF, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key := map[string]any{"keytype": "ed25519", "scheme": "ed25519", "keyval": map[string]string{"public": hex.EncodeToString(public)}}
	canonical, err := json.Marshal(key) // maps in order of keys and only ASCII: the canonical form
	if err != nil {
		return nil, err
	}
	id := sum(canonical)
	files := TUF{}
	put := func(name string, signed map[string]any) {
		signed["spec_version"], signed["version"] = "1.0.31", 1
		signed["expires"] = now.UTC().Add(24 * time.Hour).Format("2006-01-02T15:04:05Z")
		body, merr := json.Marshal(signed)
		if merr != nil {
			err = merr
			return
		}
		sig := hex.EncodeToString(ed25519.Sign(private, body))
		files[name], err = json.Marshal(map[string]any{"signed": json.RawMessage(body), "signatures": []any{map[string]string{"keyid": id, "sig": sig}}})
	}
	role := map[string]any{"keyids": []string{id}, "threshold": 1}
	put("1.root.json", map[string]any{
		"_type": "root", "consistent_snapshot": true, "keys": map[string]any{id: key},
		"roles": map[string]any{"root": role, "targets": role, "snapshot": role, "timestamp": role},
	})
	target := map[string]any{"length": len(trustedRoot), "hashes": map[string]string{"sha256": sum(trustedRoot)}}
	put("1.targets.json", map[string]any{"_type": "targets", "targets": map[string]any{"trusted_root.json": target}})
	version := map[string]any{"version": 1}
	put("1.snapshot.json", map[string]any{"_type": "snapshot", "meta": map[string]any{"targets.json": version}})
	put("timestamp.json", map[string]any{"_type": "timestamp", "meta": map[string]any{"snapshot.json": version}})
	files["targets/"+sum(trustedRoot)+".trusted_root.json"] = trustedRoot
	return files, err
}

// ServeHTTP implements http.Handler.
func (f TUF) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := f[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Write(body)
}

// Root is what a client must have beforehand.
func (f TUF) Root() []byte { return f["1.root.json"] }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
