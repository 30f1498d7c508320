package console

import (
	"net/http"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/recall/report"
)

type reportView struct {
	PURL, Reason string // as the form has them
	Problem      string
	// Admin is set for site administrators, who see what others reported.
	Admin bool
	Open  []report.Report
}

// reportPage answers GET /report/: the form, and to site administrators what waits for them.
func (c *call) reportPage() error {
	return c.showReport(http.StatusOK, c.r.URL.Query().Get("purl"), "")
}

func (c *call) showReport(status int, subject, problem string) error {
	v := reportView{PURL: subject, Reason: c.form("reason"), Problem: problem}
	open, err := c.s.Reports.List(c.r.Context(), c.actor, report.Open)
	switch {
	case err == nil:
		v.Admin, v.Open = true, open
	case fault.As(err).Kind != fault.Denied:
		return err
	}
	c.show(status, "report", "Report a malicious package", v)
	return nil
}

// makeReport answers POST /report/. A form that was filled in wrongly is shown again with its words.
func (c *call) makeReport() error {
	made, err := c.s.Reports.Make(c.r.Context(), c.actor, c.form("purl"), c.form("reason"))
	if f := fault.As(err); err != nil && f.Kind != fault.Internal {
		return c.showReport(http.StatusBadRequest, c.form("purl"), f.Text)
	}
	if err != nil {
		return err
	}
	told := []string{"Thank you. " + made.PURL.String() + " is reported as " + made.ID + ". The site administrators are told, and nobody else learns that it was you."}
	if made.Quarantined {
		told = append(told, "Several people have reported it, so nobody gets it until an administrator has looked.")
	}
	c.show(http.StatusOK, "message", "Reported", messageView{Text: told, Link: home, Label: "Your account"})
	return nil
}

// closeReport answers POST /report/{id}/outcome.
func (c *call) closeReport() error {
	_, err := c.s.Reports.Close(c.r.Context(), c.actor, c.r.PathValue("id"), report.State(c.form("outcome")), c.form("note"))
	if f := fault.As(err); err != nil && f.Kind == fault.NotFound {
		return c.showReport(http.StatusBadRequest, "", f.Text)
	}
	if err != nil {
		return err
	}
	return c.to("/report/")
}
