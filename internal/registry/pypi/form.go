package pypi

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"mime/multipart"
	"net/http"

	"golang.org/x/crypto/blake2b"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
)

// maxFields is how many fields a form may have: one for each classifier and requirement.
const maxFields = 4000

// received is a file on its way in, with the sums that clients compare; only its SHA-256 is trusted.
type received struct {
	*registry.Incoming
	name        string
	md5, blake2 hash.Hash
}

func (f *received) md5Sum() string    { return hex.EncodeToString(f.md5.Sum(nil)) }
func (f *received) blake2Sum() string { return hex.EncodeToString(f.blake2.Sum(nil)) }

// close forgets a file that was not stored.
func (f *received) close() {
	if f != nil {
		f.Close()
	}
}

func (r *Registry) receive(ctx context.Context, name string, content io.Reader) (*received, error) {
	b2, _ := blake2b.New256(nil) // fails for keys that are too long
	f := &received{name: name, md5: md5.New(), blake2: b2}
	var err error
	f.Incoming, err = r.core.Receive(ctx, "the file", content, r.limits.Archive.Packed, f.md5, f.blake2)
	return f, err
}

func cutOff(cause error) error {
	return fault.New(fault.Invalid, "body-malformed", "the request is not a form as twine sends it, or broke off").Because(cause)
}

// readForm reads an upload. take is given the file when it comes.
func (r *Registry) readForm(req *http.Request, take func(file string, fields map[string][]string, content io.Reader) error) (map[string][]string, error) {
	parts, err := req.MultipartReader()
	if err != nil {
		return nil, cutOff(err)
	}
	fields := map[string][]string{}
	left, count := r.limits.Form, 0
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return fields, nil
		}
		if err != nil {
			return nil, cutOff(err)
		}
		if count++; count > maxFields {
			return nil, fault.New(fault.TooLarge, "body-too-large", "the form has more than %d fields", maxFields)
		}
		switch key := part.FormName(); key {
		case "content":
			err = take(part.FileName(), fields, part)
		case "gpg_signature": // PyPI takes none since 2023
		default:
			err = readField(part, key, fields, &left)
		}
		if err != nil {
			return nil, err
		}
	}
}

func readField(part *multipart.Part, key string, fields map[string][]string, left *int64) error {
	raw, err := io.ReadAll(io.LimitReader(part, *left+1))
	if err != nil {
		return cutOff(err)
	}
	if *left -= int64(len(raw)) + int64(len(key)); *left < 0 {
		return fault.New(fault.TooLarge, "body-too-large", "the form without its file is larger than is taken; shorten the description")
	}
	fields[key] = append(fields[key], string(raw))
	return nil
}

// errNoFile says that a form has no file.
var errNoFile = errors.New("the form has no file")
