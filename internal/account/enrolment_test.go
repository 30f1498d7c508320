package account

import (
	"testing"
	"time"
)

func TestOnlyAnAdministratorEnrols(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	_, _, err := w.Enrol(w.ctx, alice, Enrolment{Kind: AgentMember, Name: "node-1"})
	w.refused(err, "admin-required")
	_, err = w.Enrolments(w.ctx, alice)
	w.refused(err, "admin-required")
	w.refused(w.RevokeEnrolment(w.ctx, alice, "flt_x"), "admin-required")
}

func TestAFleetMemberHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		in       Enrolment
		code     string
		receiver string
	}{
		{Enrolment{Kind: AgentMember, Name: "node-7"}, "", "agent/node-7"},
		{Enrolment{Kind: AgentMember, Name: "node-7"}, "enrolment-exists", ""},
		{Enrolment{Kind: AgentMember, Name: "node-7", Cluster: "prod"}, "", "agent/prod/node-7"},
		{Enrolment{Kind: AdmissionMember, Name: "prod"}, "", "admission/prod"},
		{Enrolment{Kind: AdmissionMember, Name: "prod", Cluster: "else"}, "enrolment-exists", ""},
		{Enrolment{Kind: AgentMember, Name: "Node"}, "enrolment-invalid", ""},
		{Enrolment{Kind: AgentMember, Name: "a/b"}, "enrolment-invalid", ""},
		{Enrolment{Kind: AgentMember}, "enrolment-invalid", ""},
		{Enrolment{Kind: AgentMember, Name: "n", Cluster: "a b"}, "enrolment-invalid", ""},
		{Enrolment{Kind: "server", Name: "n"}, "enrolment-invalid", ""},
	} {
		_, made, err := w.Enrol(w.ctx, w.admin, c.in)
		if codeOf(err) != c.code || err == nil && made.Receiver() != c.receiver {
			t.Errorf("%+v: %q, %v", c.in, made.Receiver(), err)
		}
	}
}

func TestARevokedMemberIsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, made, err := w.Enrol(w.ctx, w.admin, Enrolment{Kind: AgentMember, Name: "node-1"})
	w.must(err)
	got, left, err := w.MemberUntil(w.ctx, secret)
	w.must(err)
	if got.ID != made.ID || ValidToken(secret) {
		t.Errorf("%+v is %s", got, made.ID)
	}
	select {
	case <-left:
		t.Error("it has left before it was revoked")
	default:
	}
	w.must(w.Seen(w.ctx, []string{made.ID}))
	all, err := w.Enrolments(w.ctx, w.admin)
	if err != nil || len(all) != 1 || all[0].Seen.IsZero() || time.Since(all[0].Created) < 0 {
		t.Errorf("%+v, %v", all, err)
	}
	w.must(w.RevokeEnrolment(w.ctx, w.admin, made.ID))
	<-left
	_, err = w.Member(w.ctx, secret)
	w.refused(err, "enrolment-unauthenticated")
	w.refused(w.RevokeEnrolment(w.ctx, w.admin, made.ID), "enrolment-unknown")
	if _, _, err := w.Enrol(w.ctx, w.admin, Enrolment{Kind: AgentMember, Name: "node-1"}); err != nil {
		t.Errorf("the name is not free again: %v", err)
	}
	for _, no := range []string{"", "hmf_", w.first, secret + "x"} {
		_, err := w.Member(w.ctx, no)
		w.refused(err, "enrolment-unauthenticated")
	}
}
