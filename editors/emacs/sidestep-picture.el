;;; sidestep-picture.el --- What a run's events add up to  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; The events of one run, taken one after the other, become a picture: phases
;; with their steps, notes and questions.  No buffer, no server: what is drawn
;; stands in sidestep-run.el.
;;
;; Invariant: a picture is a function of the events 1 .. `sequence'; an event
;; is taken once, in its order, whatever server told it.

;;; Code:

(require 'cl-lib)
(require 'parse-time)
(require 'subr-x)

(defconst sidestep-picture-output-max 65536
  "Characters kept of what a running step prints.")

(defconst sidestep-picture-notes-max 2000
  "Lines of log shown of one run; the journal has them all.")

(cl-defstruct sidestep-step
  "One step, as it stands."
  id key kind status title attempt duration-ms kept error child)

(cl-defstruct sidestep-note
  "A line of log, or of what happened; FACE colours it."
  text face)

(cl-defstruct sidestep-question
  "A question of the run; STATUS is asked, answered or withdrawn."
  id title status answer by)

(cl-defstruct sidestep-phase
  "A section of the picture; ENTRIES are steps, notes and questions, newest first."
  name details entries)

(cl-defstruct (sidestep-picture (:constructor sidestep-picture--make))
  "One run after its event number SEQUENCE."
  (sequence 0) (name "") label (status "pending") reason started-at ended-at
  phases                                ; newest first; the last has no name
  phase                                 ; the present one
  (steps (make-hash-table :test #'equal))     ; key -> step
  (questions (make-hash-table :test #'equal)) ; id -> question
  (output (make-hash-table :test #'equal))    ; step id -> live output
  (notes 0) result error)

(defun sidestep-picture-create ()
  "The picture of a run of which nothing is known."
  (let ((start (make-sidestep-phase)))
    (sidestep-picture--make :phases (list start) :phase start)))

(defun sidestep-stopped-p (status)
  "Whether nothing runs in a run of STATUS."
  (member status '("completed" "failed" "interrupted")))

(defun sidestep-seconds (timestamp)
  "TIMESTAMP of the protocol as seconds since 1970."
  (float-time (parse-iso8601-time-string timestamp)))

(defun sidestep-one-line (text)
  "TEXT without line breaks."
  (string-trim (replace-regexp-in-string "[\n\r\t]+" " " text)))

(defun sidestep-picture--plain (value)
  "VALUE, part of an event, for people."
  (cond ((stringp value) value)
        ((eq value :json-false) "false")
        ((eq value t) "true")
        ((null value) "null")
        ((vectorp value) (mapconcat #'sidestep-picture--plain value ", "))
        ((consp value) (sidestep-picture-details value))
        (t (format "%s" value))))

(defun sidestep-picture-details (details)
  "DETAILS, a plist, as `name=value, name=value'."
  (cl-loop for (keyword value) on details by #'cddr
           collect (format "%s=%s" (substring (symbol-name keyword) 1) (sidestep-picture--plain value)) into words
           finally return (string-join words ", ")))

(defun sidestep-picture-add (picture entry)
  "Put ENTRY at the end of PICTURE's present phase."
  (push entry (sidestep-phase-entries (sidestep-picture-phase picture))))

(defun sidestep-picture-note (picture face format &rest args)
  "Add a note in FACE, made of FORMAT and ARGS, to PICTURE."
  (let ((number (cl-incf (sidestep-picture-notes picture))))
    (cond ((< number sidestep-picture-notes-max)
           (sidestep-picture-add picture (make-sidestep-note :text (apply #'format format args) :face face)))
          ((= number sidestep-picture-notes-max)
           (sidestep-picture-add
            picture (make-sidestep-note :text "... `sidestep runs events' has the rest of the log" :face 'shadow))))))

(defun sidestep-picture-count (picture predicate)
  "How many steps of PICTURE satisfy PREDICATE."
  (cl-count-if predicate (hash-table-values (sidestep-picture-steps picture))))

(defun sidestep-step-is (status)
  "A predicate: whether a step is in STATUS."
  (lambda (step) (equal (sidestep-step-status step) status)))

(defun sidestep-picture--enter (picture name)
  "Go to the phase NAME of PICTURE, a new one when there is none."
  (let ((phase (cl-find name (sidestep-picture-phases picture) :key #'sidestep-phase-name :test #'equal)))
    (unless phase
      (setq phase (make-sidestep-phase :name name))
      (push phase (sidestep-picture-phases picture)))
    (setf (sidestep-picture-phase picture) phase)))

;;;; Events

(cl-defgeneric sidestep-picture-take-type (_type _picture _event)
  "Take EVENT of TYPE over into PICTURE; types that are not known are passed over.")

(defun sidestep-picture-take (picture event)
  "Take EVENT over into PICTURE.
The result is t when it was the next one, `old' when it was there already, and
nil when events between are missing: then nothing was done."
  (let ((sequence (plist-get event :sequence))
        (have (sidestep-picture-sequence picture)))
    (cond ((<= sequence have) 'old)
          ((> sequence (1+ have)) nil)
          (t (setf (sidestep-picture-sequence picture) sequence)
             (unless (sidestep-picture-started-at picture)
               (setf (sidestep-picture-started-at picture) (sidestep-seconds (plist-get event :at))))
             (sidestep-picture-take-type (intern (plist-get event :type)) picture event)
             t))))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'status)) picture event)
  "The status of PICTURE is now that of EVENT."
  (let ((went-on (and (sidestep-stopped-p (sidestep-picture-status picture))
                      (not (sidestep-stopped-p (plist-get event :status)))))
        (steps (hash-table-values (sidestep-picture-steps picture)))
        (how (plist-get event :detail)))
    (setf (sidestep-picture-status picture) (plist-get event :status)
          (sidestep-picture-reason picture) (plist-get event :reason))
    (cond
     (went-on
      (setf (sidestep-picture-ended-at picture) nil
            (sidestep-picture-error picture) nil)
      (dolist (step steps)
        (setf (sidestep-step-kept step) (equal (sidestep-step-status step) "completed")))
      (sidestep-picture-note picture 'bold "goes on%s: %d of %d steps kept"
                             (if how (format " (%s)" how) "")
                             (cl-count-if #'sidestep-step-kept steps) (length steps)))
     ((sidestep-stopped-p (plist-get event :status))
      (setf (sidestep-picture-ended-at picture) (sidestep-seconds (plist-get event :at)))
      (clrhash (sidestep-picture-output picture))
      (dolist (step steps)
        (when (member (sidestep-step-status step) '("started" "queued"))
          (setf (sidestep-step-status step) "interrupted")))
      (when (equal (plist-get event :status) "interrupted")
        (sidestep-picture-note picture 'warning "interrupted (%s)%s" (plist-get event :reason)
                               (if how (format " by %s" how) "")))))))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'phase)) picture event)
  "PICTURE is in the phase of EVENT."
  (let ((phase (sidestep-picture--enter picture (plist-get event :name))))
    (setf (sidestep-phase-details phase) (plist-get event :details))))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'log)) picture event)
  "PICTURE's script said what stands in EVENT."
  (sidestep-picture-note picture
                         (pcase (plist-get event :level) ("error" 'error) ("warning" 'warning) (_ 'sidestep-log))
                         "%s%s" (plist-get event :message)
                         (let ((data (plist-get event :data)))
                           (if data (format " (%s)" (sidestep-picture--plain data)) ""))))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'step)) picture event)
  "A step of PICTURE began or ended, as EVENT says."
  (let* ((key (plist-get event :key))
         (step (gethash key (sidestep-picture-steps picture))))
    (unless step
      (setq step (puthash key (make-sidestep-step :key key :id (plist-get event :stepId))
                          (sidestep-picture-steps picture)))
      (let ((present (sidestep-picture-phase picture))
            (named (plist-get event :phase)))
        (when (and named (not (equal named (sidestep-phase-name present))))
          (sidestep-picture--enter picture named))
        (sidestep-picture-add picture step)
        (setf (sidestep-picture-phase picture) present)))
    (setf (sidestep-step-kind step) (plist-get event :kind)
          (sidestep-step-status step) (plist-get event :status)
          (sidestep-step-title step) (or (plist-get event :title) (sidestep-step-title step))
          (sidestep-step-attempt step) (plist-get event :attempt)
          (sidestep-step-duration-ms step) (plist-get event :durationMs)
          (sidestep-step-error step) (plist-get (plist-get event :error) :message)
          (sidestep-step-kept step) nil)
    (unless (equal (plist-get event :status) "started")
      (remhash (plist-get event :stepId) (sidestep-picture-output picture)))))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'child)) picture event)
  "EVENT tells of a nested run of PICTURE."
  (maphash (lambda (_key step)
             (when (equal (sidestep-step-id step) (plist-get event :stepId))
               (setf (sidestep-step-child step) (plist-get event :childRunId))))
           (sidestep-picture-steps picture)))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'interaction)) picture event)
  "A question of PICTURE was asked, answered or withdrawn, as EVENT says."
  (let* ((id (plist-get event :interactionId))
         (question (gethash id (sidestep-picture-questions picture))))
    (unless question
      (setq question (puthash id (make-sidestep-question :id id :title (or (plist-get event :title) id))
                              (sidestep-picture-questions picture)))
      (sidestep-picture-add picture question))
    (setf (sidestep-question-status question) (plist-get event :status)
          (sidestep-question-by question) (plist-get event :by)
          (sidestep-question-answer question)
          (and (plist-member event :answer) (sidestep-picture--plain (plist-get event :answer))))))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'validation)) picture event)
  "An agent's answer in PICTURE did not fit, as EVENT says."
  (let ((problems (append (plist-get event :problems) nil)))
    (sidestep-picture-note picture 'warning "%s: answer %d did not fit: %s" (plist-get event :stepId)
                           (plist-get event :attempt) (or (plist-get (car problems) :message) ""))))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'timeout)) picture event)
  "A step of PICTURE took too long, as EVENT says."
  (sidestep-picture-note picture 'warning "%s: the limit of %g s is reached" (plist-get event :stepId)
                         (/ (plist-get event :limitMs) 1000.0)))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'source)) picture _event)
  "PICTURE goes on with an edited script."
  (sidestep-picture-note picture 'bold "with the script as it is now"))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'result)) picture event)
  "PICTURE has the result of EVENT."
  (setf (sidestep-picture-result picture) (plist-get event :result)))

(cl-defmethod sidestep-picture-take-type ((_type (eql 'error)) picture event)
  "PICTURE failed with the error of EVENT."
  (setf (sidestep-picture-error picture) (plist-get event :error)))

(defun sidestep-picture-print (picture step-id text)
  "STEP-ID of PICTURE printed TEXT just now."
  (let ((all (concat (gethash step-id (sidestep-picture-output picture)) text)))
    (puthash step-id
             (substring all (max 0 (- (length all) sidestep-picture-output-max)))
             (sidestep-picture-output picture))))

(provide 'sidestep-picture)
;;; sidestep-picture.el ends here
