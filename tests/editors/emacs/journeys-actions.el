;;; journeys-actions.el --- What a person does in a script, and hears of it  -*- lexical-binding: t; -*-

;; More journeys, run as those of journeys.el are.

(require 'journeys)

(defun journeys-action (title &rest answers)
  "Take the code action TITLE on `main' of this buffer, and give ANSWERS; the buffer it shows."
  (goto-char (point-min))
  (re-search-forward "^async def main")
  ;; A key, not a mouse.
  (let ((last-nonmenu-event ?a))
    (journeys-answering (cons (cons "Pick an action" title) answers)
      (save-current-buffer
        (save-window-excursion
          (call-interactively #'eglot-code-actions)
          (current-buffer))))))

(defun journeys-open (script)
  "The buffer of SCRIPT, attached."
  (with-current-buffer (find-file-noselect (format ".sidestep/workflows/%s.py" script))
    (let ((eglot-sync-connect t)) (run-hooks 'post-command-hook))
    (should (eglot-managed-p))
    (current-buffer)))

(journeys-define code-actions
  "Run, interrupt, resume and show a run from its script: each shows the run's buffer."
  (let (buffer)
    (with-current-buffer (journeys-open "gated")
      (setq buffer (journeys-action "Run: gated.py" '("Trust it\\?" . "yes, for this session")))
      (journeys-wait-at-gate buffer)
      (should (eq buffer (journeys-action "Interrupt: gated.py")))
      (journeys-wait "the interrupt" (equal (journeys-status buffer) "interrupted"))
      (should (eq buffer (journeys-action "Resume (2 of 3 steps kept): gated.py")))
      (journeys-wait "the gate again" (and (equal (journeys-status buffer) "running")
                                           (= 1 (journeys-steps buffer "started"))))
      (journeys-open-gate)
      (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
      (kill-buffer buffer)
      (setq buffer (journeys-action "Last run: completed: All went through: open: gated.py")))
    (journeys-wait "the report" (string-match-p "^All went through: open$" (journeys-text buffer)))))

(journeys-define end-is-told
  "The end of a run that no window shows is told, once."
  (sidestep-connect (sidestep-here))
  (journeys-trust)
  (let ((buffer (sidestep-run "gated")))
    (journeys-wait-at-gate buffer)
    (kill-buffer buffer)
    (journeys-open-gate)
    (journeys-wait "the message" (with-current-buffer "*Messages*" (string-match-p "gated completed" (buffer-string))))
    (setq buffer (journeys-answering nil (call-interactively #'sidestep-show)))
    (journeys-wait "the report" (string-match-p "^All went through: open$" (journeys-text buffer)))
    (with-current-buffer "*Messages*"
      (should (equal 1 (how-many "^gated completed  (M-x sidestep-show)$" (point-min) (point-max)))))))

(journeys-define action-asks-for-arguments
  "Run asks for the arguments of a script as `sidestep-run' does."
  (let ((buffer (with-current-buffer (journeys-open "greeting")
                  (journeys-action "Run: greeting.py"
                                   '("\\`who (text)" . "Mary Ann")
                                   '("Trust it\\?" . "yes, for this session")))))
    (journeys-wait "the end" (equal (journeys-status buffer) "completed"))
    (should (string-match-p "^Hello, Mary Ann!$" (journeys-text buffer)))))

(journeys-define newer-eglot
  "A stand-in for the function by which eglot 1.13 and newer carry out code actions."
  (let* ((buffer (journeys-open "greeting"))
         (server (with-current-buffer buffer (eglot-current-server)))
         (uri (sidestep-uri (expand-file-name ".sidestep/workflows/greeting.py")))
         (command (list :title "Run" :command "sidestep.run" :arguments (vector (list :uri uri)))))
    ;; A code action; the command that newer ones take out of it; an edit, which is eglot's.
    (dolist (action (list (list :title "Run: greeting.py" :kind "sidestep" :command command) command))
      (let ((shown (save-window-excursion
                     (journeys-answering (append '(("\\`who" . "you"))
                                                 (and (not (sidestep-session-trusted (sidestep-here)))
                                                      '(("Trust it\\?" . "yes, for this session"))))
                       (eglot-execute server action)))))
        (journeys-wait "the end" (equal (journeys-status shown) "completed"))))
    (should (equal (eglot-execute server '(:title "Add an id" :edit (:changes nil))) "eglot's"))))

(provide 'journeys-actions)
;;; journeys-actions.el ends here
