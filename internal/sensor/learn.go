package sensor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/durable"
)

// The bounds of what is learnt: the images seen last, and components of each.
const (
	maxProfiles   = 1000
	maxComponents = 20_000
)

// profile is what one image was seen executing on this node.
type profile struct {
	// Watched is for how long a container of the image ran under this agent's eyes, over all runs of the
	// agent. It is counted, and not taken from the clock: a clock that is set ends no learning.
	Watched  time.Duration   `json:"watched"`
	Executed map[string]bool `json:"executed"`
	Used     int64           `json:"used"` // number of the flush that saw it last
}

// learnt is what images execute. Guarded by Agent.mu.
type learnt struct {
	file   string
	dirty  bool
	Flush  int64                      `json:"flush"`
	Images map[digest.Digest]*profile `json:"images"`
}

// openLearnt reads what earlier runs learnt. A file that cannot be read is an error: to begin anew would
// take every component for unseen, or what an intruder runs for known.
func openLearnt(folder string) (*learnt, error) {
	l := &learnt{Images: map[digest.Digest]*profile{}}
	if folder == "" {
		return l, nil
	}
	l.file = filepath.Join(folder, "learnt.json")
	raw, err := os.ReadFile(l.file)
	if os.IsNotExist(err) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, l); err != nil || l.Images == nil {
		return nil, fmt.Errorf("what was learnt (%s) cannot be read; move it away to learn anew: %w", l.file, err)
	}
	return l, nil
}

// unseen reports whether a component is executed that the image was never seen executing, after the time
// of learning. It is seen from then on: one alert per image and component. a.mu is held.
func (a *Agent) unseen(b *box, c *content) bool {
	if a.Learn == 0 || b.c.Image == "" || c.key == "" {
		return false
	}
	p := a.learnt.of(b.c.Image)
	if p.Executed[c.key] || len(p.Executed) >= maxComponents {
		return false
	}
	p.Executed[c.key] = true
	a.learnt.dirty = true
	return p.Watched >= a.Learn
}

func (l *learnt) of(image digest.Digest) *profile {
	p := l.Images[image]
	if p == nil {
		p = &profile{Executed: map[string]bool{}, Used: l.Flush}
		l.Images[image] = p
	}
	return p
}

// watched adds to the time that the images of running containers were watched for. a.mu is held.
func (l *learnt) watched(images map[digest.Digest]bool, elapsed time.Duration) {
	l.Flush++
	for image := range images {
		p := l.of(image)
		p.Watched += elapsed
		p.Used = l.Flush
		l.dirty = true
	}
	for len(l.Images) > maxProfiles {
		oldest := digest.Digest("")
		for image, p := range l.Images {
			if oldest == "" || p.Used < l.Images[oldest].Used {
				oldest = image
			}
		}
		delete(l.Images, oldest)
	}
}

// encoded returns what is to be written, nil when nothing changed. a.mu is held.
func (l *learnt) encoded() []byte {
	if !l.dirty || l.file == "" {
		return nil
	}
	l.dirty = false
	raw, err := json.Marshal(l)
	if err != nil { // maps of texts and numbers
		return nil
	}
	return raw
}

// receipts are the recalls that this node has sent its receipt for, so that a restart sends none again.
type receipts struct {
	file string
	Sent []int64 `json:"sent"`
}

func openReceipts(folder string) (*receipts, error) {
	r := &receipts{}
	if folder == "" {
		return r, nil
	}
	r.file = filepath.Join(folder, "receipts.json")
	raw, err := os.ReadFile(r.file)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(raw, r) != nil {
		return &receipts{file: r.file}, nil // a receipt twice does no harm
	}
	return r, nil
}

func (r *receipts) sent(seq int64) bool { return slices.Contains(r.Sent, seq) }

// first reports whether a recall has no receipt yet, and notes that it has.
func (r *receipts) first(seq int64) bool {
	if r.sent(seq) {
		return false
	}
	r.Sent = append(r.Sent, seq)
	return true
}

// save keeps what was sent. Called after the receipt is in the spool.
func (r *receipts) save() error {
	if r.file == "" {
		return nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return durable.WriteFile(r.file, raw, 0o600)
}
