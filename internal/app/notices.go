package app

import (
	"context"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/console"
	"github.com/hullmark/hullmark/internal/mail"
)

const (
	noticeBatch = 50
	// noticesEvery is how long a notice waits before it is on its way. Nobody waits for it but people.
	noticesEvery = time.Second
)

// postNotices hands what accounts are to be told to the outbox, remembers it for their pages, and sends
// what is due. It never runs inside a request. What fails is tried again the next time.
func (s *Server) postNotices(ctx context.Context) {
	if err := s.takeNotices(ctx); err != nil && ctx.Err() == nil {
		s.app.Config.Logger.Error("notices were not taken over", "error", err)
	}
	if s.outbox == nil {
		return
	}
	if _, err := s.outbox.Deliver(ctx); err != nil && ctx.Err() == nil {
		s.app.Config.Logger.Error("mail was not sent", "error", err)
	}
}

func (s *Server) takeNotices(ctx context.Context) error {
	for {
		waiting, err := s.app.Accounts.Notices(ctx, noticeBatch)
		if err != nil || len(waiting) == 0 {
			return err
		}
		for _, n := range waiting {
			if err := s.takeNotice(ctx, n); err != nil {
				return err
			}
		}
	}
}

// takeNotice may run twice for a notice, when the process dies in the middle: the outbox knows it by
// what caused it. A notice that cannot be mailed is still remembered.
func (s *Server) takeNotice(ctx context.Context, n account.Notice) error {
	if s.outbox != nil && n.Address != "" && s.app.Config.Clock.Now().Sub(n.Created) < mail.MaxAge {
		m, err := console.Letter(n, s.app.Accounts.Pages())
		if err == nil {
			// The number of a notice is free again once it is gone; with its time it is no other's.
			err = s.outbox.Put(ctx, fmt.Sprintf("notice %d of %d", n.ID, n.Created.UnixMilli()), m)
		}
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			s.app.Config.Logger.Error("a notice cannot be mailed", "kind", n.Kind, "account", n.Account, "error", err)
		}
	}
	return s.app.Accounts.Remember(ctx, n)
}
