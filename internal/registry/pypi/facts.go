package pypi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/hullmark/hullmark/internal/digest"
)

// facts are what the index says of a file besides what the core knows. They are stored as the release's
// metadata.
type facts struct {
	Name           string        `json:"name"` // as its author spells it
	RequiresPython string        `json:"requiresPython,omitempty"`
	Summary        string        `json:"summary,omitempty"`
	Core           digest.Digest `json:"core,omitempty"` // the METADATA or PKG-INFO, a blob
	MD5            string        `json:"md5,omitempty"`
	Blake2         string        `json:"blake2,omitempty"`
	Provenance     digest.Digest `json:"provenance,omitempty"` // a provenance object (PEP 740), a blob
}

func (f *facts) encode() ([]byte, error) { return json.Marshal(f) }

// facts reads what is stored of a file.
func (r *Registry) facts(ctx context.Context, stored digest.Digest) (facts, error) {
	var f facts
	if stored == "" {
		return f, nil
	}
	raw, err := r.readBlob(ctx, stored)
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, fmt.Errorf("stored facts %s: %w", stored, err)
	}
	return f, nil
}

func (r *Registry) storeBlob(ctx context.Context, data []byte) (digest.Digest, error) {
	u, err := r.core.Blobs().Create(ctx)
	if err != nil {
		return "", err
	}
	if _, err := u.Write(data); err != nil {
		u.Abort()
		return "", err
	}
	return u.Commit(ctx, "")
}

// readBlob reads a blob that is known to be small.
func (r *Registry) readBlob(ctx context.Context, d digest.Digest) ([]byte, error) {
	blob, err := r.core.Blobs().Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	data := make([]byte, blob.Size())
	if _, err := io.ReadFull(blob, data); err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	return data, nil
}
