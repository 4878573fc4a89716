;;; sidestep-verbs.el --- Run, interrupt, resume, retry  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Runs are started in the background and followed by their events: Emacs has
;; no public request ids, so nothing could be withdrawn, and a request that
;; waits would end with its server.  Stopping is `workflow/interrupt'.

;;; Code:

(require 'cl-lib)
(require 'sidestep-arguments)
(require 'sidestep-picture)
(require 'sidestep-run)
(require 'sidestep-server)

(defvar sidestep-list-run-function #'ignore
  "Gives the run at point, a plist, in a list of runs.")

(defun sidestep-here ()
  "The session of the folder that is meant here."
  (sidestep-session (sidestep-folder)))

(defun sidestep-runs (session statuses)
  "The newest runs of SESSION in STATUSES, a list; all of them for nil."
  (append (plist-get (sidestep-request session :workflow/list
                                       (append (list :workspaceFolder (sidestep-uri (sidestep-session-root session))
                                                     :limit 100)
                                               (and statuses (list :status (vconcat statuses)))))
                     :runs)
          nil))

(defun sidestep-read-run (session prompt statuses)
  "The id of the run at point, else of one that is chosen.
PROMPT asks for one of SESSION in STATUSES, a list."
  (or sidestep-run-id
      (plist-get (funcall sidestep-list-run-function) :runId)
      (let* ((runs (or (sidestep-runs session statuses)
                       (user-error "No run of %s is %s" (abbreviate-file-name (sidestep-session-root session))
                                   (string-join statuses " or "))))
             (named (mapcar (lambda (run)
                              (cons (format "%s %s %s %s" (or (plist-get run :label) (plist-get run :name))
                                            (plist-get run :status)
                                            (format-time-string "%F %T" (sidestep-seconds (plist-get run :createdAt)))
                                            (plist-get run :runId))
                                    (plist-get run :runId)))
                            runs)))
        (cdr (assoc (if (cdr named) (completing-read prompt named nil t nil nil (caar named)) (caar named))
                    named)))))

;;;###autoload
(defun sidestep-run (name &optional args)
  "Run the workflow script NAME with ARGS, an object, and show the run.
Interactively, ask for both.  A script that you are in is suggested."
  (interactive (sidestep-verbs--read-start))
  (let* ((session (sidestep-here))
         (tried (sidestep-try-trusted
                 session :workflow/start
                 (list :script (list :name name)
                       :args (or args (make-hash-table))
                       :mode "background"
                       :workspaceFolder (sidestep-uri (sidestep-session-root session))
                       ;; Sent again, the same request would find the same run.
                       :startKey (format "emacs-%d-%s" (emacs-pid) (format-time-string "%s.%N"))))))
    (sidestep-run-open session (plist-get (sidestep-result tried) :runId) name)))

(defun sidestep-verbs--read-start ()
  "Ask for a script and its arguments."
  ;; The server reads files.
  (save-some-buffers nil (lambda () (derived-mode-p 'sidestep-script-mode)))
  (let* ((session (sidestep-here))
         (scripts (append (plist-get (sidestep-request
                                      session :workflow/scripts
                                      (list :workspaceFolder (sidestep-uri (sidestep-session-root session))))
                                     :scripts)
                          nil))
         (named (mapcar (lambda (script) (cons (plist-get script :name) script)) scripts))
         (here (and buffer-file-name (file-name-base buffer-file-name)))
         (completion-extra-properties
          (list :annotation-function
                (lambda (name)
                  (concat "  " (plist-get (cdr (assoc name named)) :description)))))
         (name (completing-read "Run workflow: " named nil t nil nil (and (assoc here named) here))))
    (list name
          (sidestep-arguments-read-all (plist-get (cdr (assoc name named)) :argsSchema)))))

;;;###autoload
(defun sidestep-interrupt (run-id)
  "Stop the run RUN-ID durably; it can be resumed."
  (interactive (list (sidestep-read-run (sidestep-here) "Interrupt: " '("active"))))
  (let ((stopped (sidestep-request (sidestep-here) :workflow/interrupt (list :runId run-id :wait "durable"))))
    (if (eq (plist-get stopped :alreadyTerminal) t)
        (message "The run had %s before" (plist-get stopped :status))
      (message "Interrupted; finished steps are kept, M-x sidestep-resume goes on"))))

(defun sidestep-verbs--went-on (session run-id)
  "Show RUN-ID of SESSION, which goes on."
  (let ((buffer (sidestep-run-open session run-id)))
    (message "%s goes on" run-id)
    buffer))

;;;###autoload
(defun sidestep-resume (run-id)
  "Go on with the interrupted run RUN-ID: finished steps are kept."
  (interactive (list (sidestep-read-run (sidestep-here) "Resume: " '("interrupted"))))
  (let ((session (sidestep-here)))
    (sidestep-result (sidestep-try-trusted session :workflow/resume (list :runId run-id :mode "background")))
    (sidestep-verbs--went-on session run-id)))

;;;###autoload
(defun sidestep-retry (run-id &optional current)
  "Do the failed steps of the run RUN-ID again; finished ones are kept.
With CURRENT, interactively a prefix argument, take the script as it is now."
  (interactive (list (sidestep-read-run (sidestep-here) "Retry: " '("failed")) current-prefix-arg))
  (let* ((session (sidestep-here))
         (tried (sidestep-try-trusted
                 session :workflow/retry
                 (list :runId run-id :mode "background" :source (if current "current" "snapshot")))))
    ;; The script itself failed: there is nothing to redo but with an edited one.
    (if (and (sidestep-refusal-p tried) (not current)
             (equal (sidestep-refusal-reason tried) "invalidTransition")
             (equal (plist-get (sidestep-refusal-data tried) :status) "failed")
             (y-or-n-p (format "%s.  Retry with the script as it is now? " (sidestep-refusal-message tried))))
        (sidestep-retry run-id t)
      (sidestep-result tried)
      (sidestep-verbs--went-on session run-id))))

;;;###autoload
(defun sidestep-continue (run-id &optional current)
  "Resume the run RUN-ID if it was interrupted, retry it if it failed.
With CURRENT, interactively a prefix argument, take the script as it is now."
  (interactive (list (sidestep-read-run (sidestep-here) "Go on with: " '("interrupted" "failed")) current-prefix-arg))
  (let ((run (plist-get (sidestep-request (sidestep-here) :workflow/get (list :runId run-id)) :run)))
    (if (or current (equal (plist-get run :status) "failed"))
        (sidestep-retry run-id current)
      (sidestep-resume run-id))))

;;;###autoload
(defun sidestep-show (run-id)
  "Show the run RUN-ID, live."
  (interactive (list (sidestep-read-run (sidestep-here) "Show: " nil)))
  (sidestep-connect (sidestep-here))
  (sidestep-run-open (sidestep-here) run-id))

(cl-defmethod eglot-execute-command ((server sidestep-server) _command _arguments)
  "Carry a command of SERVER's out, and show the run that it is about."
  (let* ((told (cl-call-next-method))
         (run-id (and (consp told) (plist-get told :runId))))
    (when run-id
      (sidestep-run-open (sidestep-session (project-root (slot-value server 'project))) run-id))
    told))

(provide 'sidestep-verbs)
;;; sidestep-verbs.el ends here
