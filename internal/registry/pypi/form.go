package pypi

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime/multipart"
	"net/http"

	"golang.org/x/crypto/blake2b"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
)

// maxFields is how many fields a form may have: one for each classifier and requirement.
const maxFields = 4000

// received is a file on its way into the blob store.
type received struct {
	name   string
	upload blob.Upload // nil once it was committed
	sha256 hash.Hash
	md5    hash.Hash // compared and told, never trusted
	blake2 hash.Hash
}

func (f *received) digest() digest.Digest { return digest.Sum(digest.SHA256, f.sha256) }
func (f *received) md5Sum() string        { return hex.EncodeToString(f.md5.Sum(nil)) }
func (f *received) blake2Sum() string     { return hex.EncodeToString(f.blake2.Sum(nil)) }

// abort forgets a file that was not committed.
func (f *received) abort() {
	if f != nil && f.upload != nil {
		f.upload.Abort()
	}
}

// receive streams a file into the blob store.
func (r *Registry) receive(ctx context.Context, name string, content io.Reader) (*received, error) {
	upload, err := r.core.Blobs().Create(ctx)
	if err != nil {
		return nil, fmt.Errorf("receive file: %w", err)
	}
	b2, _ := blake2b.New256(nil) // fails for keys that are too long
	f := &received{name: name, upload: upload, sha256: sha256.New(), md5: md5.New(), blake2: b2}
	limit := r.limits.Archive.Packed
	source := &blame{r: content}
	n, err := io.Copy(io.MultiWriter(upload, f.sha256, f.md5, f.blake2), io.LimitReader(source, limit+1))
	switch {
	case source.err != nil:
		err = cutOff(source.err)
	case err != nil:
		err = fmt.Errorf("receive file: %w", err)
	case n > limit:
		err = fault.New(fault.TooLarge, "body-too-large", "the file is larger than %d MiB; leave out what is not needed to use it", limit>>20)
	default:
		return f, nil
	}
	f.abort()
	return nil, err
}

func cutOff(cause error) error {
	return fault.New(fault.Invalid, "body-malformed", "the request is not a form as twine sends it, or broke off").Because(cause)
}

// blame remembers an error of the reader below, to tell it from one of the writer.
type blame struct {
	r   io.Reader
	err error
}

func (b *blame) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
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
