;;; journeys.el --- What a person does with Sidestep in Emacs  -*- lexical-binding: t; -*-

;; Each test is run in an Emacs of its own by test_emacs.py, which makes the
;; folder, HOME and store, and looks at what is left.

(require 'ert)
(require 'cl-lib)
(require 'flymake)
(require 'sidestep)

(defvar journeys-workspace (file-name-as-directory (file-truename (getenv "JOURNEY_WORKSPACE"))))

(setq text-quoting-style 'grave)
(setq sidestep-command (split-string (getenv "JOURNEY_SERVER") "\n" t))

(defmacro journeys-wait (what condition)
  "Wait until CONDITION holds, its value; say WHAT did not happen."
  (declare (indent 1))
  `(let ((deadline (+ (float-time) (string-to-number (or (getenv "JOURNEY_PATIENCE") "30")))) value)
     (while (not (setq value ,condition))
       (when (> (float-time) deadline)
         (ert-fail (list ,what (journeys-state))))
       (accept-process-output nil 0.02))
     value))

(defun journeys-state ()
  "All buffers of ours, for the message of a test that fails."
  (mapconcat (lambda (buffer)
               (with-current-buffer buffer
                 (format "---- %s\n%s" (buffer-name) (buffer-substring-no-properties (point-min) (point-max)))))
             (cl-remove-if-not (lambda (buffer) (string-match-p "sidestep\\|stderr\\|Messages" (buffer-name buffer)))
                               (buffer-list))
             "\n"))

(defmacro journeys-answering (answers &rest body)
  "In BODY each prompt of the minibuffer is answered by the next of ANSWERS.
An answer is (REGEXP . TEXT): the prompt has to match."
  (declare (indent 1))
  `(let ((left ,answers))
     (cl-flet ((answer (prompt)
                 (let ((next (pop left)))
                   (unless (and next (string-match-p (car next) prompt))
                     (error "Asked %S, expected %S" prompt next))
                   (cdr next))))
       (cl-letf (((symbol-function 'completing-read)
                  (lambda (prompt collection &rest more)
                    (let ((text (answer prompt)))
                      (unless (or (null (nth 1 more)) (test-completion text collection))
                        (error "%S is none of %S" text collection))
                      text)))
                 ((symbol-function 'read-string) (lambda (prompt &rest _) (answer prompt)))
                 ((symbol-function 'y-or-n-p) #'answer))
         (prog1 (progn ,@body)
           (should-not left))))))

(defun journeys-trust ()
  "Trust the workspace as a person who was asked before."
  (sidestep-request (sidestep-here) :workflow/trust
                    (list :folders (vector journeys-workspace) :trusted t :remember :json-false))
  (setf (sidestep-session-trusted (sidestep-here)) t))

(defun journeys-status (buffer)
  "The status of the run in BUFFER."
  (sidestep-picture-status (buffer-local-value 'sidestep-run-picture buffer)))

(defun journeys-text (buffer)
  "What a person reads in BUFFER once it is drawn."
  (with-current-buffer buffer
    (journeys-wait "the buffer is drawn" (not (timerp sidestep-run--drawing)))
    (buffer-substring-no-properties (point-min) (point-max))))

(defun journeys-steps (buffer status)
  "How many steps of the run in BUFFER are in STATUS."
  (sidestep-picture-count (buffer-local-value 'sidestep-run-picture buffer) (sidestep-step-is status)))

(defun journeys-wait-at-gate (buffer)
  "Wait until the run in BUFFER has done two steps and begun the third."
  (journeys-wait "the gate"
    (and (= 2 (journeys-steps buffer "completed")) (= 1 (journeys-steps buffer "started")))))

(defun journeys-open-gate ()
  "Let the step go on that reads from the pipe."
  (let ((default-directory journeys-workspace))
    (should (eql 0 (call-process "sh" nil nil nil "-c" "echo open > gate")))))

(defmacro journeys-define (name doc &rest body)
  "Define the test NAME with DOC: do BODY in the workspace."
  (declare (indent 1) (doc-string 2))
  `(ert-deftest ,name ()
     ,doc
     (let ((default-directory journeys-workspace))
       ,@body)))

(defun journeys-write-events (buffer)
  "Keep the events that BUFFER takes, for test_emacs.py."
  (let ((file (getenv "JOURNEY_EVENTS")))
    (add-hook 'sidestep-run-event-functions
              (lambda (where event)
                (when (eq where buffer)
                  (write-region (format "%d %s\n" (plist-get event :sequence) (plist-get event :type))
                                nil file 'append 'silent))))))

(defun journeys-say (format &rest args)
  "Tell test_emacs.py FORMAT with ARGS."
  ;; As a message: what is printed would wait in a buffer of stdout.
  (message "SAID %s" (apply #'format format args)))

;;;; Scripts

(journeys-define attach
  "A workflow script is attached as it is opened, and told what is wrong with it."
  (let ((buffer (find-file-noselect ".sidestep/workflows/wrong.py")))
    (with-current-buffer buffer
      (should (eq major-mode 'sidestep-script-mode))
      ;; Batch has no commands, after which eglot connects.
      (let ((eglot-sync-connect t)) (run-hooks 'post-command-hook))
      (should (eglot-managed-p))
      (journeys-wait "a diagnostic"
        (progn
          (flymake-start)
          (cl-some (lambda (diagnostic) (string-match-p "needs an id" (flymake-diagnostic-text diagnostic)))
                   (flymake-diagnostics)))))
    ;; Other Python files are left to the person's server.
    (with-current-buffer (find-file-noselect "plain.py")
      (run-hooks 'post-command-hook)
      (should (eq major-mode 'python-mode))
      (should-not (eglot-managed-p))
      (should-not (eq (alist-get 'python-mode eglot-server-programs) 'sidestep-contact)))
    ;; The run and the script share one server.
    (with-current-buffer buffer
      (should (eq (eglot-current-server) (sidestep-connect (sidestep-here)))))))

(journeys-define no-server
  "Without a server, the message says where it was looked for and what to do."
  (let ((sidestep-command nil) (exec-path nil) (vc-handled-backends nil))
    (let ((message (error-message-string (should-error (call-interactively #'sidestep-list) :type 'user-error))))
      (should (string-match-p "\\.venv/bin/sidestep" message))
      (should (string-match-p "install it into the project's .venv, or set `sidestep-command'" message)))
    ;; A script is opened all the same.
    (with-current-buffer (find-file-noselect ".sidestep/workflows/wrong.py")
      (should-not (memq 'eglot--managed-mode local-minor-modes))))
  (let ((sidestep-command "/nowhere/sidestep"))
    (should (string-match-p "names /nowhere/sidestep, which cannot be executed"
                            (error-message-string (should-error (sidestep-list) :type 'user-error)))))
  ;; One that cannot serve is no reason to try again and again.
  (let ((sidestep-command '("sh" "-c" "exit 3")))
    (should (string-match-p "ended before it was ready; run `sh -c exit 3' in a terminal"
                            (error-message-string (should-error (sidestep-list) :type 'user-error))))
    (should-not (sidestep-session-deaths (sidestep-here))))
  (let ((sidestep-command nil) (exec-path nil))
    (make-directory ".venv/bin" t)
    (write-region "#!/bin/sh\n" nil ".venv/bin/sidestep")
    (set-file-modes ".venv/bin/sidestep" #o700)
    (should (equal (sidestep-server-command journeys-workspace)
                   (list (concat journeys-workspace ".venv/bin/sidestep") "serve" "--stdio")))))

;;;; Runs

(journeys-define run
  "A built-in workflow is chosen, its arguments are asked for, and its report is read."
  (let* ((answers '(("Run workflow" . "repo-report")
                    ("\\`commits .*a whole number, default 500" . "many")
                    ("\\`\\[Expected a whole number, got `many'\\] commits" . "20")
                    ("\\`top " . "")
                    ("Trust it\\?" . "yes, for this session")))
         (buffer (journeys-answering answers (call-interactively #'sidestep-run))))
    (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
    (let ((text (journeys-text buffer)))
      (should (string-match-p "\\`repo-report  completed  [0-9.]+ m?s" text))
      (should (string-match-p "^  completed +[a-z]" text))
      (should (string-match-p "^# " text)))
    (should (equal (buffer-name buffer)
                   (format "*sidestep repo-report %s*" (buffer-local-value 'sidestep-run-id buffer))))
    ;; Return on a step shows its output.
    (with-current-buffer buffer
      (goto-char (point-min))
      (re-search-forward "^  completed")
      (save-window-excursion
        (sidestep-run-open-step)
        (should (string-match-p "exit code 0" (buffer-string)))))
    (journeys-say "%s" (buffer-local-value 'sidestep-run-id buffer))))

(journeys-define refused-trust
  "Who says no is told that nothing was run."
  (journeys-answering '(("Trust it\\?" . "no"))
    (should (string-match-p "Nothing was run"
                            (error-message-string (should-error (sidestep-run "gated") :type 'user-error)))))
  (should-not (sidestep-runs (sidestep-here) nil)))

(journeys-define interrupt-and-resume
  "What was finished before an interrupt is kept."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((buffer (sidestep-run "gated")))
    (journeys-write-events buffer)
    (journeys-wait-at-gate buffer)
    (should (equal " Sidestep:1" (substring-no-properties (sidestep-mode-line))))
    ;; What the step printed until now.
    (journeys-wait "live output" (string-match-p "waiting at the gate" (journeys-text buffer)))
    (with-current-buffer buffer (call-interactively #'sidestep-interrupt))
    (journeys-wait "the interrupt" (equal (journeys-status buffer) "interrupted"))
    (should (string-match-p "interrupted (user)" (journeys-text buffer)))
    (journeys-wait "an empty mode line" (equal "" (sidestep-mode-line)))
    (with-current-buffer buffer (call-interactively #'sidestep-continue))
    (journeys-wait "the gate again" (and (equal (journeys-status buffer) "running")
                                         (= 1 (journeys-steps buffer "started"))))
    (should (string-match-p "goes on (resume): 2 of 3 steps kept" (journeys-text buffer)))
    (should (string-match-p "^  kept        first" (journeys-text buffer)))
    (journeys-open-gate)
    (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
    (should (string-match-p "^3 of 3 steps completed (2 kept)" (journeys-text buffer)))
    (should (string-match-p "^All went through: open$" (journeys-text buffer)))
    (journeys-say "%s" (buffer-local-value 'sidestep-run-id buffer))))

(journeys-define retry
  "A run whose script failed goes on with the edited script, when the person says so."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((buffer (sidestep-run "failing")))
    (journeys-wait "the failure" (equal (journeys-status buffer) "failed"))
    (should (string-match-p "not yet" (journeys-text buffer)))
    (with-temp-buffer
      (insert-file-contents ".sidestep/workflows/failing.py")
      (re-search-forward "raise.*")
      (replace-match "return 'mended'")
      (write-region nil nil ".sidestep/workflows/failing.py"))
    (journeys-answering '(("Retry with the script as it is now" . t))
      (with-current-buffer buffer (call-interactively #'sidestep-continue)))
    (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
    (should (string-match-p "^  kept        first" (journeys-text buffer)))
    (should (string-match-p "^mended$" (journeys-text buffer)))))

(journeys-define question
  "A question is asked when it comes; left open, it is answered later."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((buffer (sidestep-run "asking")))
    (cl-letf (((symbol-function 'completing-read)
               (lambda (prompt choices &rest _)
                 (should (equal prompt "Ship it? "))
                 ;; The next question is left open.
                 (setq sidestep-prompt nil)
                 (caar choices))))
      (journeys-wait "the answer" (string-match-p "Ship it\\?  yes" (journeys-text buffer))))
    (journeys-wait "the second question" (string-match-p "\\? How many\\?  (a answers)" (journeys-text buffer)))
    (journeys-wait "the mode line" (equal " Sidestep:1 ?1" (substring-no-properties (sidestep-mode-line))))
    (journeys-answering '(("\\`How many\\? (a whole number)" . "three")
                          ("\\`\\[Expected a whole number, got `three'\\] How many" . "3"))
      (with-current-buffer buffer (call-interactively #'sidestep-answer)))
    (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
    (should (string-match-p "^Shipped: yes, 3$" (journeys-text buffer)))
    (should-error (with-current-buffer buffer (call-interactively #'sidestep-answer)) :type 'user-error)))

(journeys-define list
  "The list shows runs as they change, and deletes one."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((list (sidestep-list))
        (buffer (sidestep-run "gated")))
    (with-current-buffer list
      (journeys-wait "the active run" (string-match-p "^ running +gated .*2 done, 1 running" (buffer-string)))
      (journeys-open-gate)
      (journeys-wait "its end" (string-match-p "^ completed +gated .*3 done" (buffer-string)))
      (goto-char (point-min))
      (should (equal (plist-get (sidestep-list-run) :runId) (buffer-local-value 'sidestep-run-id buffer)))
      (save-window-excursion
        (should (eq buffer (call-interactively #'sidestep-show))))
      (cl-letf (((symbol-function 'yes-or-no-p) (lambda (_) t)))
        (call-interactively #'sidestep-list-delete))
      (journeys-wait "an empty list" (equal "" (string-trim (buffer-string)))))
    (should (string-match-p "this run is no more" (journeys-text buffer)))))

;;;; Parts

(journeys-define arguments
  "Texts become values by their schemas; what does not fit says what was expected."
  (let ((value (lambda (schema text) (sidestep-arguments-value (json-parse-string schema :object-type 'plist) text))))
    (pcase-dolist (`(,schema ,text ,expected)
                   '(("{\"type\": \"string\"}" "3" "3")
                     ("{\"type\": \"integer\"}" " -3 " -3)
                     ("{\"type\": \"number\"}" "1.5e3" 1500.0)
                     ("{\"type\": \"boolean\"}" "no" :json-false)
                     ("{\"enum\": [\"a\", 1]}" "1" 1)
                     ("{\"anyOf\": [{\"type\": \"integer\"}, {\"type\": \"null\"}]}" "null" nil)
                     ("{\"type\": \"array\", \"items\": {\"type\": \"string\"}}" "a \"b c\"" ["a" "b c"])
                     ("{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}" "[1, 2]" [1 2])
                     ("{\"type\": \"array\"}" "" [])
                     ("{}" "free" "free")))
      (should (equal (funcall value schema text) expected)))
    (should (equal (sidestep-arguments-json (funcall value "{\"type\": \"object\"}" "{}")) "{}"))
    (pcase-dolist (`(,schema ,text)
                   '(("{\"type\": \"integer\"}" "1.5") ("{\"type\": \"number\"}" "1.") ("{\"enum\": [\"a\"]}" "b")
                     ("{\"type\": \"boolean\"}" "maybe") ("{\"type\": \"object\"}" "[]")
                     ("{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}" "1 x")))
      (should-error (funcall value schema text) :type 'user-error))))

(journeys-define wire
  "Nulls are replaced wherever a text is cut, escaped backslashes are not; a throw loses nothing."
  (let ((told "{\"a\": \"x\\u0000y\\\\u0000\\\\\\u0000\\n\\u00001\"}")
        (expected "{\"a\": \"x\\u2400y\\\\u0000\\\\\\u2400\\n\\u24001\"}")
        (process (make-pipe-process :name "wire" :buffer (generate-new-buffer "wire") :noquery t))
        read)
    (dotimes (cut (1+ (length told)))
      (setq read (concat (sidestep-wire--pass process (substring told 0 cut))
                         (sidestep-wire--pass process (substring told cut))))
      (should (equal read expected)))
    (setq read nil)
    (set-process-filter process (lambda (_process text)
                                  (push text read)
                                  (unless (equal text "") (throw 'answered nil))))
    (sidestep-wire-mend process)
    (catch 'answered (funcall (process-filter process) process "both"))
    (journeys-wait "the rest" (equal read '("" "both")))))

;;;; Servers that die

(defun journeys-kill-server ()
  "Kill the server as the system does it."
  (signal-process (jsonrpc--process (sidestep-live-server (sidestep-here))) 'KILL))

(journeys-define server-dies
  "The buffer goes on where it was, on another server, which resumes the run."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((buffer (sidestep-run "gated"))
        (first (sidestep-live-server (sidestep-here))))
    (journeys-write-events buffer)
    (journeys-wait-at-gate buffer)
    (journeys-kill-server)
    (journeys-wait "the resumed run"
      (string-match-p "goes on (automatic): 2 of 3 steps kept" (journeys-text buffer)))
    (should-not (eq first (sidestep-live-server (sidestep-here))))
    (journeys-wait "the gate again" (= 1 (journeys-steps buffer "started")))
    (journeys-open-gate)
    (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
    (journeys-say "%s" (buffer-local-value 'sidestep-run-id buffer))))

(journeys-define gap
  "Events that are missing are asked for; those that came before are not taken again."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let* ((buffer (sidestep-run "gated"))
         (server (sidestep-live-server (sidestep-here)))
         (run-id (buffer-local-value 'sidestep-run-id buffer))
         (tell (lambda (sequence asks)
                 (eglot-handle-notification
                  server 'workflow/eventsAppended :runId run-id
                  :events (vector (list :sequence sequence :at "2026-01-31T09:30:00.125Z" :type "log" :message "odd")))
                 (should (eq asks (and (buffer-local-value 'sidestep-run--asked buffer) t)))
                 (journeys-wait "the answer" (not (buffer-local-value 'sidestep-run--asked buffer))))))
    (journeys-write-events buffer)
    (journeys-wait-at-gate buffer)
    (funcall tell 1 nil)
    (funcall tell 99 t)
    (eglot-handle-notification server 'workflow/lagged :runId run-id :lastSequence 2)
    (eglot-handle-notification server 'workflow/unheard-of :what 1)
    (journeys-open-gate)
    (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
    (should-not (string-match-p "odd" (journeys-text buffer)))
    (journeys-say "%s" run-id)))

(journeys-define server-keeps-dying
  "After five restarts the person is asked; no leaves it, and g starts it again."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((buffer (sidestep-run "gated")) (asked nil))
    (cl-letf (((symbol-function 'y-or-n-p) (lambda (prompt) (setq asked prompt) nil)))
      (dotimes (_ (1+ sidestep-restarts-max))
        (let ((server (journeys-wait "a server" (sidestep-live-server (sidestep-here)))))
          (journeys-kill-server)
          (journeys-wait "its end" (not (jsonrpc-running-p server)))))
      (journeys-wait "the question" asked))
    (should (string-match-p "ended 6 times in 3 minutes" asked))
    (should (string-match-p "the server keeps ending; g starts it" (journeys-text buffer)))
    (should-not (sidestep-live-server (sidestep-here)))
    (with-current-buffer buffer (call-interactively #'sidestep-run-refresh))
    (should (sidestep-live-server (sidestep-here)))
    (journeys-wait "the run" (= 2 (journeys-steps buffer "completed")))))

(journeys-define stay
  "Run something and wait to be killed."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((buffer (sidestep-run "gated")))
    (journeys-wait-at-gate buffer)
    (journeys-say "server %d" (process-id (jsonrpc--process (sidestep-live-server (sidestep-here)))))
    (pcase (getenv "JOURNEY_END")
      ("kill" (while t (accept-process-output nil 10)))
      ("exit" (kill-emacs 0)))))

(provide 'journeys)
;;; journeys.el ends here
