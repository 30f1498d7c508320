package snapshot

import (
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/hullmark/hullmark/internal/policy"
)

// maxRecord bounds one record, in bytes of JSON: an image of 100,000 components.
const maxRecord = 64 << 20

// image is a record at rest: compressed, because a server knows far more images than one cluster
// runs, and decoded once it was asked for.
type image struct {
	packed  []byte
	decoded atomic.Pointer[policy.Record]
}

// codec packs records. It is safe for concurrent use.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(128<<10))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxRecord))
	if err != nil {
		return nil, err
	}
	return &codec{enc, dec}, nil
}

// newImage checks that a record can be read and packs it.
func (c *codec) newImage(raw []byte) (*image, error) {
	if len(raw) > maxRecord {
		return nil, fmt.Errorf("%d bytes are more than a record may have", len(raw))
	}
	var r policy.Record
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	return &image{packed: c.enc.EncodeAll(raw, nil)}, nil
}

// read returns the record. The caller must not change it.
func (c *codec) read(i *image) (*policy.Record, error) {
	if r := i.decoded.Load(); r != nil {
		return r, nil
	}
	raw, err := c.dec.DecodeAll(i.packed, nil)
	if err != nil {
		return nil, err
	}
	r := new(policy.Record)
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, err
	}
	i.decoded.Store(r)
	return r, nil
}
