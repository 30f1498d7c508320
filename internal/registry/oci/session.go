package oci

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
)

// macBytes is how much of the signature an upload's name carries.
const macBytes = 16

// sessions ties uploads to repositories, and keeps the layer readers of those uploads that wait
// for their next chunk. The bytes are the blob store's; only the readers are lost in a restart.
type sessions struct {
	key  []byte
	book *layerBook
	idle time.Duration

	mu      sync.Mutex
	waiting map[string]waiting // by upload id; guarded by mu
	closed  bool               // guarded by mu
}

type waiting struct {
	tap   *tap
	timer *time.Timer
}

func newSessions(key []byte, book *layerBook, idle time.Duration) *sessions {
	return &sessions{key: key, book: book, idle: idle, waiting: map[string]waiting{}}
}

// name returns what an upload is called in its Location: the identifier, signed together with the
// repository, so that an upload cannot be taken to a repository where it was not begun.
func (s *sessions) name(repository, id string) string {
	return id + "." + hex.EncodeToString(s.sign(repository, id))
}

func (s *sessions) sign(repository, id string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(repository + "\x00" + id))
	return mac.Sum(nil)[:macBytes]
}

// open returns the identifier in name, or code upload-unknown when we did not issue it for the
// repository.
func (s *sessions) open(repository, name string) (string, error) {
	id, signature, _ := strings.Cut(name, ".")
	got, err := hex.DecodeString(signature)
	if err != nil || !hmac.Equal(got, s.sign(repository, id)) {
		return "", fault.New(fault.NotFound, "upload-unknown", "there is no such upload, or it has ended; start a new one")
	}
	return id, nil
}

// resume returns the reader that waits for the upload's byte number size, or a new one for an
// upload without bytes. Otherwise there is none: the layer will be read when a manifest names it.
func (s *sessions) resume(id string, size int64) *tap {
	s.mu.Lock()
	w := s.waiting[id]
	delete(s.waiting, id)
	s.mu.Unlock()
	if w.tap == nil {
		if size == 0 {
			return s.book.tap()
		}
		return nil
	}
	w.timer.Stop()
	if w.tap.size != size {
		w.tap.abort()
		return nil
	}
	return w.tap
}

// suspend keeps the reader for the next chunk, for as long as idle says.
func (s *sessions) suspend(id string, t *tap) {
	if t == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		t.abort()
		return
	}
	s.waiting[id] = waiting{tap: t, timer: time.AfterFunc(s.idle, func() { s.drop(id, t) })}
}

// drop ends a reader that waited too long, unless its upload has gone on meanwhile.
func (s *sessions) drop(id string, t *tap) {
	s.mu.Lock()
	ours := s.waiting[id].tap == t
	if ours {
		delete(s.waiting, id)
	}
	s.mu.Unlock()
	if ours {
		t.abort()
	}
}

func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, w := range s.waiting {
		w.timer.Stop()
		w.tap.abort()
	}
	clear(s.waiting)
}
