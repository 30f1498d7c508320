package fleet

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

const (
	// sendWithin is how long a watcher may take to make room for one update.
	sendWithin = 30 * time.Second
	// maxImages bounds the images that a watcher may name.
	maxImages = 10_000
)

// watcher is one open stream and its place in the queue.
type watcher struct {
	hub    *hub
	conn   caller
	stream *connect.ServerStream[frame]
	wants  *fleetv1.WatchRequest
	place  int64 // of the next update to send
	epoch  int64 // of the records that it has
}

func (s *Service) watch(ctx context.Context, req *connect.Request[fleetv1.WatchRequest], stream *connect.ServerStream[frame]) error {
	if err := checkWatch(callerOf(ctx), req.Msg); err != nil {
		return s.answer(err)
	}
	w := &watcher{hub: s.hub, conn: callerOf(ctx), stream: stream, wants: req.Msg}
	w.freeConnection()
	defer w.conn.unlimited()
	defer w.join()()
	if _, err := s.hub.look(ctx); err != nil {
		return s.answer(err)
	}
	for {
		if err := w.start(ctx); err != nil {
			return s.answer(err)
		}
		lost, err := w.follow(ctx)
		if err != nil || !lost {
			return s.answer(err)
		}
		w.wants = &fleetv1.WatchRequest{After: -1, Images: w.wants.Images, None: w.wants.None} // too slow: from the start
	}
}

func checkWatch(c caller, w *fleetv1.WatchRequest) error {
	if len(w.Images) > maxImages {
		return fault.New(fault.TooLarge, "watch-invalid", "a watch names at most %d images; none means all", maxImages)
	}
	for _, image := range w.Images {
		if _, err := digest.Parse(image); err != nil {
			return err
		}
	}
	if c.Kind == account.AgentMember && !w.None && len(w.Images) == 0 {
		return fault.New(fault.Denied, "watch-invalid", "an agent watches no records of every image; ask for none, or name the images that run")
	}
	return nil
}

// freeConnection ends the wait for more of the request: a stream lasts as long as it lasts.
func (w *watcher) freeConnection() { _ = w.conn.conn.SetReadDeadline(time.Time{}) }

func (c caller) unlimited() { _ = c.conn.SetWriteDeadline(time.Time{}) }

// join takes a place at the end of the queue. What is read from the record from here on holds at least
// what was told before, so that nothing falls in between. The caller calls leave.
func (w *watcher) join() (leave func()) {
	h := w.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if w.wants.None {
		return func() {}
	}
	h.images++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.images--
	}
}

// start sends everything that the watcher decides from, then synced.
func (w *watcher) start(ctx context.Context) error {
	h := w.hub
	h.mu.Lock()
	w.place, w.epoch = h.first+int64(len(h.queue)), h.epoch
	head, whole := h.head, []*frame{h.recalls, h.policies, h.exceptions}
	h.mu.Unlock()
	known := w.wants.After > 0 && w.wants.After <= head
	if w.wants.After != 0 && !known {
		if err := w.say(head, func(u *fleetv1.Update) { u.Change = &fleetv1.Update_Reset_{Reset_: true} }); err != nil {
			return err
		}
	}
	for _, f := range whole {
		if f == nil {
			continue
		}
		if err := w.send(f); err != nil {
			return err
		}
	}
	if !w.wants.None {
		if err := w.sendRecords(ctx, head, known); err != nil {
			return err
		}
	}
	return w.say(head, func(u *fleetv1.Update) { u.Change = &fleetv1.Update_Synced{Synced: true} })
}

// sendRecords sends the image records that the watcher wants and, because it may not have noticed that one
// is gone, every tag. One that kept what it had at a head gets only what may have changed since.
func (w *watcher) sendRecords(ctx context.Context, head int64, known bool) error {
	images, err := w.outdated(ctx, head, known)
	if err != nil {
		return err
	}
	for _, image := range images {
		f, err := w.hub.image(ctx, image)
		if err != nil {
			return err
		}
		if err := w.send(f); err != nil {
			return err
		}
	}
	all := w.hub.allTags()
	if err := w.sendGoneTags(ctx, head, all); err != nil {
		return err
	}
	for repository, tags := range all {
		for tag, digest := range tags {
			err := w.say(head, func(u *fleetv1.Update) {
				u.Change = &fleetv1.Update_Tag{Tag: &fleetv1.Tag{Repository: repository, Tag: tag, Digest: digest}}
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sendGoneTags tells a watcher that was away of the tags that have been taken away meanwhile, as far as
// statements name them; of a version that was withdrawn with more than a hundred tags some are not.
func (w *watcher) sendGoneTags(ctx context.Context, head int64, all map[string]map[string]string) error {
	if w.wants.After <= 0 {
		return nil
	}
	gone, err := w.hub.goneTags(ctx, w.wants.After, all)
	for _, t := range gone {
		if err := w.say(head, func(u *fleetv1.Update) { u.Change = &fleetv1.Update_Tag{Tag: t} }); err != nil {
			return err
		}
	}
	return err
}

// outdated are the images whose records the watcher lacks.
func (w *watcher) outdated(ctx context.Context, head int64, known bool) ([]string, error) {
	var all []digest.Digest
	var err error
	switch {
	case known:
		all, err = w.hub.Records.Touched(ctx, w.wants.After, head)
	case len(w.wants.Images) > 0:
		return w.wants.Images, nil
	default:
		all, err = w.hub.Records.Images(ctx)
	}
	var out []string
	for _, d := range all {
		if len(w.wants.Images) == 0 || slices.Contains(w.wants.Images, string(d)) {
			out = append(out, string(d))
		}
	}
	return out, err
}

// say encodes and sends an update to this watcher alone.
func (w *watcher) say(head int64, change func(*fleetv1.Update)) error {
	f, err := w.hub.frame(head, change)
	if err != nil {
		return err
	}
	return w.send(f)
}

// send gives up on a watcher that takes nothing: the connection is cut, and it may come again.
func (w *watcher) send(f *frame) error {
	_ = w.conn.conn.SetWriteDeadline(time.Now().Add(sendWithin)) // a test's recorder has none
	if err := w.stream.Send(f); err != nil {
		return fault.New(fault.Unavailable, "watch-ended", "the watcher does not take what it is sent").Because(err)
	}
	w.conn.heard()
	return nil
}

// follow sends what comes until the stream ends. lost reports that the watcher fell behind the queue.
func (w *watcher) follow(ctx context.Context) (lost bool, err error) {
	for {
		frames, wake, ok := w.hub.after(w.place, w.epoch, !w.wants.None)
		if !ok {
			return true, nil
		}
		for _, f := range frames {
			w.place++
			if !w.takes(f) {
				continue
			}
			if err := w.send(f); err != nil {
				return false, err
			}
		}
		if len(frames) > 0 {
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return false, nil // they hung up
		case <-w.conn.left:
			return false, fault.New(fault.Unauthenticated, "enrolment-unauthenticated", "this fleet member was revoked; enrol it again for a new token")
		case <-w.hub.closed:
			return false, fault.New(fault.Unavailable, "watch-ended", "the server is stopping; watch again").Because(errClosing)
		}
	}
}

// atOnce is how many updates a watcher takes out of the queue at a time.
const atOnce = 64

// after returns updates from place on, or a channel that is closed when there are any. ok is false
// when the queue does not reach back that far, or the records must be read anew.
func (h *hub) after(place, epoch int64, records bool) (frames []*frame, wake <-chan struct{}, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if place < h.first || records && epoch != h.epoch {
		return nil, nil, false
	}
	rest := h.queue[place-h.first:]
	return slices.Clone(rest[:min(len(rest), atOnce)]), h.wake, true
}

// takes reports whether the watcher asked for it.
func (w *watcher) takes(f *frame) bool {
	switch change := f.update.Change.(type) {
	case *fleetv1.Update_Image:
		return !w.wants.None && (len(w.wants.Images) == 0 || slices.Contains(w.wants.Images, change.Image.Digest))
	case *fleetv1.Update_Tag:
		return !w.wants.None
	}
	return true
}
