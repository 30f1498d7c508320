package signingtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strconv"
)

const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	// Provenance is the predicate that npm's client makes.
	Provenance = "https://slsa.dev/provenance/v1"

	logName  = "log.signingtest.example"
	logIndex = 7 // of every entry: each is its own tree, and clients print it
)

// Statement returns an in-toto statement about one subject; digests are hex, by algorithm.
func Statement(subject string, digests map[string]string, predicateType string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"_type": statementType, "predicateType": predicateType,
		"subject": []any{map[string]any{"name": subject, "digest": digests}},
		"predicate": map[string]any{
			"buildDefinition": map[string]any{"buildType": "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1"},
			"runDetails":      map[string]any{"builder": map[string]any{"id": "https://github.com/actions/runner/github-hosted"}},
		},
	})
}

// Attest signs a statement as id and returns the bundle, in JSON.
func (a *Authority) Attest(id Identity, statement []byte) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := a.leaf(id, &key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	sig, err := sign(key, pae(statement))
	if err != nil {
		return nil, err
	}
	envelope := map[string]any{"payload": statement, "payloadType": payloadType, "signatures": []any{map[string]any{"sig": sig}}}
	entry, err := a.entry(envelope, statement, sig, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	if err != nil {
		return nil, fmt.Errorf("log the signature: %w", err)
	}
	return json.Marshal(map[string]any{
		"mediaType":    bundleType,
		"dsseEnvelope": envelope,
		"verificationMaterial": map[string]any{
			"certificate": map[string]any{"rawBytes": leaf.Raw},
			"tlogEntries": []any{entry},
		},
	})
}

// pae is what is signed. Source: secure-systems-lab/dsse, protocol.md, "pre-authentication encoding".
func pae(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// logged is the log's answer to an envelope: the only leaf of a tree of its own.
type logged struct {
	body, log, leaf, promise []byte
	checkpoint               string
}

// enter logs an envelope. Source: sigstore/rekor, pkg/types/dsse/v0.0.1; RFC 6962, 2.1.
func (a *Authority) enter(envelope any, payload, sig, verifier []byte) (logged, error) {
	raw, err := json.Marshal(envelope)
	if err != nil {
		return logged{}, err
	}
	hash := func(b []byte) map[string]string {
		sum := sha256.Sum256(b)
		return map[string]string{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "dsse", "spec": map[string]any{
		"envelopeHash": hash(raw), "payloadHash": hash(payload), "signatures": []any{map[string]any{"signature": sig, "verifier": verifier}},
	}})
	if err != nil {
		return logged{}, err
	}
	return a.enterBody(body)
}

// enterBody logs what an entry consists of.
func (a *Authority) enterBody(body []byte) (logged, error) {
	id, err := keyID(a.tlog)
	if err != nil {
		return logged{}, err
	}
	promised, err := json.Marshal(map[string]any{
		"body": body, "integratedTime": a.now.Unix(), "logID": hex.EncodeToString(id), "logIndex": logIndex,
	})
	if err != nil {
		return logged{}, err
	}
	promise, err := sign(a.tlog, promised)
	if err != nil {
		return logged{}, err
	}
	leaf := sha256.Sum256(append([]byte{0}, body...))
	checkpoint, err := a.checkpoint(leaf[:], id)
	return logged{body, id, leaf[:], promise, checkpoint}, err
}

// entry is what the log answers as bundles carry it.
func (a *Authority) entry(envelope any, payload, sig, verifier []byte) (map[string]any, error) {
	e, err := a.enter(envelope, payload, sig, verifier)
	return a.answer("dsse", e), err
}

// answer is an entry of a kind as bundles carry it.
func (a *Authority) answer(kind string, e logged) map[string]any {
	return map[string]any{
		"logIndex": strconv.Itoa(logIndex), "logId": map[string]any{"keyId": e.log}, "integratedTime": strconv.FormatInt(a.now.Unix(), 10),
		"kindVersion": map[string]string{"kind": kind, "version": "0.0.1"}, "canonicalizedBody": e.body,
		"inclusionPromise": map[string]any{"signedEntryTimestamp": e.promise},
		"inclusionProof": map[string]any{
			"logIndex": "0", "treeSize": "1", "rootHash": e.leaf, "hashes": []any{}, "checkpoint": map[string]any{"envelope": e.checkpoint},
		},
	}
}

// checkpoint signs a tree of one leaf. Source: C2SP signed-note; sigstore/rekor, pkg/util/signed_note.go.
func (a *Authority) checkpoint(root, id []byte) (string, error) {
	text := fmt.Sprintf("%s - 1\n1\n%s\n", logName, base64.StdEncoding.EncodeToString(root))
	sig, err := sign(a.tlog, []byte(text))
	if err != nil {
		return "", err
	}
	return text + "\n\u2014 " + logName + " " + base64.StdEncoding.EncodeToString(append(id[:4:4], sig...)) + "\n", nil
}
