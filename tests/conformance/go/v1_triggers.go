package main

import (
	"errors"
	"net/http"

	formance "github.com/formancehq/formance-sdk-go/v3"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/operations"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/sdkerrors"
	"github.com/formancehq/formance-sdk-go/v3/pkg/models/shared"
)

func createTrigger(l *life) error {
	data := shared.TriggerData{
		Event:      l.event(),
		WorkflowID: l.waiting.ID,
		Name:       formance.String("Conformance " + l.tag),
		Filter:     formance.String(`event.kind == "a"`),
		Vars:       map[string]any{"a": "event.a", "b": "'constant'"},
		Version:    formance.String("v1"),
	}
	reply, err := l.api.CreateTrigger(l.context, &data)
	if err != nil {
		return err
	}
	l.trigger = reply.CreateTriggerResponse.Data
	echoed := shared.TriggerData{
		Event: l.trigger.Event, WorkflowID: l.trigger.WorkflowID, Name: l.trigger.Name,
		Filter: l.trigger.Filter, Vars: l.trigger.Vars, Version: l.trigger.Version,
	}
	_, badFilter := l.api.CreateTrigger(l.context, &shared.TriggerData{
		Event: l.event(), WorkflowID: l.waiting.ID, Filter: formance.String("event.a +"),
	})
	_, empty := l.api.CreateTrigger(l.context, &shared.TriggerData{})
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusCreated),
		equal("what was asked for", echoed, data),
		holds("it has an id and a time", l.trigger.ID != "" && !l.trigger.CreatedAt.IsZero()),
		refused("a bad filter", sdkerrors.ErrorCodeValidation, badFilter),
		refused("an empty trigger", sdkerrors.ErrorCodeValidation, empty),
	)
}

func listTriggers(l *life) error {
	named, err := l.triggers("conformance " + l.tag)
	if err != nil {
		return err
	}
	all, err := l.triggers("") // the official command line sends an empty name when none is given
	if err != nil {
		return err
	}
	others, err := l.triggers("nobody's " + l.tag)
	if err != nil {
		return err
	}
	return errors.Join(
		equal("those of the name", named, map[string]shared.Trigger{l.trigger.ID: l.trigger}),
		equal("one of all", all[l.trigger.ID], l.trigger),
		equal("those of another name", len(others), 0),
	)
}

func readTrigger(l *life) error {
	reply, err := l.api.ReadTrigger(l.context, operations.ReadTriggerRequest{TriggerID: l.trigger.ID})
	if err != nil {
		return err
	}
	_, unknown := l.api.ReadTrigger(l.context, operations.ReadTriggerRequest{TriggerID: unknownID})
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusOK),
		equal("trigger", reply.ReadTriggerResponse.Data, l.trigger),
		refused("an unknown trigger", sdkerrors.ErrorCodeNotFound, unknown),
	)
}

func listTriggersOccurrences(l *life) error {
	none, err := l.occurrences()
	if err != nil {
		return err
	}
	if err := l.fire(); err != nil {
		return err
	}
	var found []shared.TriggerOccurrence
	err = until("two occurrences", func() (bool, error) {
		var err error
		found, err = l.occurrences()
		return len(found) >= 2, err
	})
	if err != nil {
		return err
	}
	return errors.Join(
		holds("at first there are none, in a list", none != nil && len(none) == 0),
		equal("how many", len(found), 2),
		l.checkOccurrences(found),
	)
}

// fire publishes one event that starts an instance, one the filter keeps out, and one whose variables cannot be had.
func (l *life) fire() error {
	return errors.Join(
		l.publish(map[string]any{"kind": "a", "a": 41}),
		l.publish(map[string]any{"kind": "b", "a": 42}),
		l.publish(map[string]any{"kind": "a"}),
	)
}

func (l *life) occurrences() ([]shared.TriggerOccurrence, error) {
	request := operations.ListTriggersOccurrencesRequest{TriggerID: l.trigger.ID}
	reply, err := l.api.ListTriggersOccurrences(l.context, request)
	if err != nil {
		return nil, err
	}
	return reply.ListTriggersOccurrencesResponse.Data, equal("status", reply.StatusCode, http.StatusOK)
}

func (l *life) checkOccurrences(found []shared.TriggerOccurrence) error {
	failed, started := found[0], found[1]
	if failed.Error == nil {
		failed, started = started, failed
	}
	if failed.Error == nil || started.WorkflowInstance == nil {
		return errors.New("one failed and one started: " + encoded(found))
	}
	return errors.Join(
		equal("trigger", []string{failed.TriggerID, started.TriggerID}, []string{l.trigger.ID, l.trigger.ID}),
		holds("they have a time", !failed.Date.IsZero() && !started.Date.IsZero()),
		equal("event of the failed", failed.Event, map[string]any{"kind": "a"}),
		holds("the failed has no instance", failed.WorkflowInstance == nil && failed.WorkflowInstanceID == nil),
		equal("event of the started", started.Event, map[string]any{"kind": "a", "a": 41}),
		equal("instance", started.WorkflowInstance.ID, started.WorkflowInstanceID),
		equal("workflow", started.WorkflowInstance.WorkflowID, l.waiting.ID),
		holds("the started has no error", started.Error == nil),
	)
}

func deleteTrigger(l *life) error {
	remove := func(triggerID string) (*operations.DeleteTriggerResponse, error) {
		return l.api.DeleteTrigger(l.context, operations.DeleteTriggerRequest{TriggerID: triggerID})
	}
	reply, err := remove(l.trigger.ID)
	if err != nil {
		return err
	}
	listed, err := l.triggers("")
	if err != nil {
		return err
	}
	_, unknown := remove(unknownID)
	_, isListed := listed[l.trigger.ID]
	return errors.Join(
		equal("status", reply.StatusCode, http.StatusNoContent),
		holds("it is gone from the list", !isListed),
		refused("an unknown trigger", sdkerrors.ErrorCodeNotFound, unknown),
	)
}
