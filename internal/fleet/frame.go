package fleet

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

// frame is an update that was encoded once and is sent to many. It is never changed.
type frame struct {
	update *fleetv1.Update
	wire   []byte
}

func newFrame(u *fleetv1.Update) (*frame, error) {
	wire, err := proto.Marshal(u)
	if err != nil {
		return nil, fmt.Errorf("encode update: %w", err)
	}
	return &frame{update: u, wire: wire}, nil
}

// protoFrames is Connect's binary codec for streams of frames.
type protoFrames struct{}

// Name implements connect.Codec.
func (protoFrames) Name() string { return "proto" }

// Marshal implements connect.Codec.
func (protoFrames) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case *frame:
		return m.wire, nil
	case proto.Message:
		return proto.Marshal(m)
	}
	return nil, fmt.Errorf("%T is not a message", v)
}

// MarshalAppend keeps Connect from writing into the shared bytes: it owns what Marshal returns.
func (c protoFrames) MarshalAppend(dst []byte, v any) ([]byte, error) {
	b, err := c.Marshal(v)
	return append(dst, b...), err
}

// Unmarshal implements connect.Codec.
func (protoFrames) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a message", v)
	}
	return proto.Unmarshal(b, m)
}

// jsonFrames is Connect's JSON codec for streams of frames: for people with curl.
type jsonFrames struct{}

// Name implements connect.Codec.
func (jsonFrames) Name() string { return "json" }

// Marshal implements connect.Codec.
func (jsonFrames) Marshal(v any) ([]byte, error) {
	if f, ok := v.(*frame); ok {
		v = f.update
	}
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", v)
	}
	return protojson.Marshal(m)
}

// Unmarshal implements connect.Codec.
func (jsonFrames) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a message", v)
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, m)
}
