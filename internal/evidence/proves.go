package evidence

import "fmt"

// bundleLimits are what no bundle can prove, whatever is in it.
var bundleLimits = []string{
	"It does not prove that these are all statements about the subject: ask the server for the newest bundle, and compare log sizes.",
	"It does not prove that the log shows everybody the same tree: compare checkpoints with someone else, or use a witness.",
}

// limits holds, per predicate type, the fixed sentence of what a statement in the log does not
// prove. The record never shows a proof without it.
var limits = map[string]string{
	PublicationType:  "It does not say that the account's holder acted: a stolen credential authenticates as well as its owner. It does not say that the content is benign.",
	ApprovalType:     "It does not say that the approver read what they approved.",
	VerificationType: "A valid signature names the key or workflow that signed; it does not say that the workflow was uncompromised.",
	ContentsType:     "It lists what the reader recognised. Code that was minified, renamed or compiled in may be missing; the listing itself is a blob that this statement names by digest and that a bundle does not carry.",
	FindingsType:     "No finding means that no advisory matched on that day, not that there is no vulnerability.",
	DecisionType:     "It says what the gate decided from the record at that size; it does not say that the rule was right.",
	PlacementType:    "It says where the agent or gate saw the subject; unseen nodes are gaps.",
	BehaviourType:    "It says what was seen; what was not seen may still have happened.",
	ExceptionType:    "It says who let the subject past a policy; it does not make the subject safe.",
	RecallType:       "It says that the subject was recalled; whether every gate has acted is in their receipts.",
	PolicySetType:    "It says which policies were in force from then on; it does not say that they were right, or enforced everywhere.",
	GapType:          "It says that something could not be seen, and nothing about what it was.",
}

// grounds says what each assurance adds.
var grounds = map[Assurance]string{
	Observed:      "it saw that itself",
	Authenticated: "a party that had authenticated said so",
	Verified:      "a signature or proof was checked and held",
}

// proved says what follows from s being in the log.
func proved(s Statement) ProvedItem {
	ground := grounds[s.Assurance]
	if ground == "" {
		ground = "on a ground that this version does not know"
	}
	limit := limits[s.PredicateType]
	if limit == "" {
		limit = "This version does not know this type of statement, and draws no conclusion from it."
	}
	return ProvedItem{
		Statement: s,
		Proves: fmt.Sprintf("The log has held this statement, unchanged, at place %d; it was taken at %s from %s %s: %s.",
			s.Seq, s.Time.Format("2006-01-02 15:04:05 MST"), s.Issuer.Kind, s.Issuer.ID, ground),
		DoesNotProve: limit,
	}
}
