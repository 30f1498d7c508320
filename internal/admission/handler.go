package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sync/semaphore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hullmark/hullmark/internal/fault"
)

const (
	// inBodies bounds the bytes of all bodies that are read at one time.
	inBodies = 4 * maxReview
	// patience is how long a review waits for its turn. The API server waits 3 s and does not ask again, so
	// that an early no leaves its other webhooks their time.
	patience = 500 * time.Millisecond
)

// handler serves the reviews of one webhook.
type handler struct {
	decide  func(*admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error)
	name    string
	turns   *turns
	metrics *Metrics
	log     *slog.Logger
}

// turns bounds the work at one time.
type turns struct {
	slots  chan struct{} // twice the cores: more would only make all of them late
	queue  chan struct{} // those that wait for a slot, and those that have one
	bodies *semaphore.Weighted
}

func newTurns(cores int) *turns {
	return &turns{
		slots: make(chan struct{}, 2*cores), queue: make(chan struct{}, 34*cores), bodies: semaphore.NewWeighted(inBodies),
	}
}

var errBusy = errors.New("busy")

// take waits for a turn, or fails at once when too many wait already.
func (t *turns) take(ctx context.Context) (done func(), err error) {
	select {
	case t.queue <- struct{}{}:
	default:
		return nil, errBusy
	}
	leave := func() { <-t.queue }
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case t.slots <- struct{}{}:
		return func() { <-t.slots; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, errBusy
	}
}

// Handler serves /validate, /mutate, and for operators /healthz, /readyz and /metrics.
func (g *Gate) Handler(m *Metrics) http.Handler {
	t := newTurns(runtime.GOMAXPROCS(0))
	mux := http.NewServeMux()
	mux.Handle("/validate", &handler{g.Validate, "validate", t, m, g.log})
	mux.Handle("/mutate", &handler{g.Mutate, "mutate", t, m, g.log})
	mux.HandleFunc("GET /healthz", g.serveHealth)
	mux.HandleFunc("GET /readyz", g.serveReady)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		m.write(w, g.snapshot.Status())
	})
	return mux
}

// ServeHTTP answers one review. What can be answered by name is; anything else is an HTTP error, which
// the API server takes for a failed call and treats as the webhook's failurePolicy says.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	outcome := "error"
	defer func() { h.metrics.observe(h.name, outcome, time.Since(start)) }()
	if err := checkRequest(r); err != nil {
		fail(w, err)
		return
	}
	raw, err := h.body(w, r)
	if err != nil {
		outcome = h.refuse(w, err, raw)
		return
	}
	done, err := h.turns.take(r.Context())
	if err != nil {
		outcome = "shed"
		fail(w, busy())
		return
	}
	defer done()
	response, err := h.review(raw)
	if err != nil {
		h.log.Warn("a review was not answered", "webhook", h.name, "error", err)
		fail(w, err)
		return
	}
	outcome = "denied"
	if response.Allowed {
		outcome = "allowed"
	}
	respond(w, response)
}

func checkRequest(r *http.Request) error {
	if r.Method != http.MethodPost {
		return fault.New(fault.Unsupported, "method-not-allowed", "a review is sent with POST, not %s", r.Method)
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return fault.New(fault.Invalid, "review-malformed", "a review is application/json, not %.60q", r.Header.Get("Content-Type"))
	}
	return nil
}

// body reads a review. For one that is too large it returns the beginning, and code review-too-large.
func (h *handler) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	weight := int64(maxReview)
	if r.ContentLength >= 0 {
		weight = min(weight, r.ContentLength)
	}
	if !h.turns.bodies.TryAcquire(weight) {
		return nil, busy()
	}
	defer h.turns.bodies.Release(weight)
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return raw[:min(len(raw), uidWithin)], fault.New(fault.TooLarge, "review-too-large",
			"the object is too large to be decided on: its review has more than %d MB; split the object", maxReview>>20)
	}
	if err != nil {
		return nil, malformedReview("its body did not arrive whole").Because(err)
	}
	return raw, nil
}

// refuse answers a review that was not read: one that is too large is denied by name.
func (h *handler) refuse(w http.ResponseWriter, err error, prefix []byte) (outcome string) {
	f := fault.As(err)
	if uid := uidOf(prefix); f.Code == "review-too-large" && uid != "" {
		response := denied(f)
		response.UID = uid
		respond(w, response)
		return "denied"
	}
	fail(w, err)
	if f.Code == "admission-busy" {
		return "shed"
	}
	return "error"
}

// review parses and decides. A panic is a denial of this one object, and the next review finds the
// process as it was.
func (h *handler) review(raw []byte) (response *admissionv1.AdmissionResponse, err error) {
	var uid types.UID
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("a review made the webhook panic", "webhook", h.name, "uid", uid, "panic", p, "stack", string(debug.Stack()))
			response, err = denied(fault.New(fault.Internal, "admission-failed",
				"the object could not be decided on because of a defect in hullmark; its log has the details")), nil
			response.UID = uid
		}
	}()
	request, err := ParseReview(raw)
	if err != nil {
		return nil, err
	}
	uid = request.UID
	if response, err = h.decide(request); err != nil {
		return nil, err
	}
	response.UID = uid
	return response, nil
}

func busy() error {
	return fault.New(fault.Unavailable, "admission-busy",
		"the admission controller has more reviews than it can answer in time and turned this one away at once; add replicas if this lasts")
}

func respond(w http.ResponseWriter, response *admissionv1.AdmissionResponse) {
	raw, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: reviewKind}, Response: response,
	})
	if err != nil {
		fail(w, fmt.Errorf("write the answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(raw) // the API server has gone: there is nobody left to tell
}

func fail(w http.ResponseWriter, err error) {
	f := fault.As(err)
	http.Error(w, fmt.Sprintf("%s [%s]", f.Text, f.Code), fault.HTTPStatus(f))
}

func (g *Gate) serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(g.snapshot.Status()) // who asked has gone
}

// serveReady says whether reviews can be decided on, so that a Service sends none to a process that
// has nothing to decide from.
func (g *Gate) serveReady(w http.ResponseWriter, _ *http.Request) {
	if _, err := g.snapshot.View(nil, g.ours); err != nil {
		fail(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}
