package pypitest

import (
	"encoding/json"
	"fmt"
)

// Attestation returns a Sigstore bundle as clients of PyPI send it. Source: PEP 740, "Attestation objects".
func Attestation(bundle []byte) (json.RawMessage, error) {
	var b struct {
		Material struct {
			Certificate struct {
				Raw string `json:"rawBytes"`
			} `json:"certificate"`
			Entries []json.RawMessage `json:"tlogEntries"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload    string `json:"payload"`
			Signatures []struct {
				Sig string `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		return nil, err
	}
	if len(b.Envelope.Signatures) != 1 {
		return nil, fmt.Errorf("the bundle has %d signed statements; expected one", len(b.Envelope.Signatures))
	}
	return json.Marshal(map[string]any{
		"version":               1,
		"verification_material": map[string]any{"certificate": b.Material.Certificate.Raw, "transparency_entries": b.Material.Entries},
		"envelope":              map[string]string{"statement": b.Envelope.Payload, "signature": b.Envelope.Signatures[0].Sig},
	})
}
