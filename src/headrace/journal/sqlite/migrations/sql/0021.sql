-- Why instances failed. The columns are added by versions/0021_failures.py. May run again: a process can end in the middle.

-- The failures of earlier releases, as far as their rows show them. The last stage of an instance that was not aborted has
-- an activity with an error where a service or a person closed it; where it has none, a value could not be used. A refusal
-- with the code CONFLICT may be one of our own reference: which, the rows do not show.
UPDATE instances SET
    failure = CASE
        WHEN error = 'canceled' THEN 'canceled'
        WHEN EXISTS (SELECT 1 FROM resolutions AS r WHERE r.instance_id = instances.id AND r.verdict = 'not_booked') THEN 'unbooked'
        WHEN error_code = 'CONFLICT' THEN 'unclassified'
        WHEN EXISTS (
            SELECT 1 FROM activities AS a WHERE a.instance_id = instances.id AND a.error IS NOT NULL
            AND a.stage = (SELECT max(number) FROM stages AS s WHERE s.instance_id = instances.id)
        ) THEN CASE WHEN error_code IS NULL THEN 'unclassified' ELSE 'refused' END
        WHEN EXISTS (
            SELECT 1 FROM stages AS s WHERE s.instance_id = instances.id AND s.error IS NOT NULL
            AND s.number = (SELECT max(number) FROM stages AS t WHERE t.instance_id = instances.id)
        ) THEN 'invalid'
        ELSE 'unclassified'
    END
WHERE error IS NOT NULL AND failure IS NULL;

UPDATE instances SET failure_code = error_code WHERE failure = 'refused' AND failure_code IS NULL;
